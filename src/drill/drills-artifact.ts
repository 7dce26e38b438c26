import { get } from 'node:https';
import { artifactContract } from '#artifact';
import { type Digest, digestOf } from '#base';
import type { Client } from '#client';
import { identityContract } from '#identity';
import { releaseContract } from '#release';
import { inHouse, ofCall } from './attempt.ts';
import type { Attempt, Drill } from './drill.ts';
import { flipByte } from './flip.ts';
import { type House, PROJECT } from './house.ts';

interface Upload {
  name: string;
  version: string;
  content?: string;
}

async function upload(client: Client, repository: 'release' | 'playground', { name, version, content }: Upload) {
  return await client.upload(
    artifactContract.uploadArtifact,
    { params: { project: PROJECT, repository }, query: { name, version, file: 'file' } },
    { content: Buffer.from(content ?? `${name} ${version}, built on a laptop`) },
  );
}

const uploads: readonly Drill[] = [
  inHouse({
    id: 'developer-uploads-release',
    title: 'A developer uploads a file of their own to the release repository',
    threats: ['A14', 'A15', 'SLSA-F', 'SEC-1'],
    control: 'only the control plane writes releases',
    refusal: /^artifact\.release_is_closed$/,
    controlOff: { artifact: { releaseClosed: false } },
    attack: ({ developer }) =>
      ofCall(() => upload(developer.client, 'release', { name: `${PROJECT}/evil`, version: '1' })),
    async legitimate({ developer }) {
      await upload(developer.client, 'playground', { name: `${PROJECT}/try`, version: '1' });
      return 'the developer uploads to the playground';
    },
  }),
  inHouse({
    id: 'owner-uploads-release',
    title: 'The owner, with every role there is, uploads to the release repository',
    threats: ['A14', 'SLSA-F', 'SEC-1', 'SEC-9'],
    control: 'only the control plane writes releases',
    refusal: /^artifact\.release_is_closed$/,
    controlOff: { artifact: { releaseClosed: false } },
    async prepare({ owner }) {
      for (const role of ['maintainer', 'developer', 'release-approver', 'runner', 'agent'] as const) {
        const grant = { role, project: PROJECT };
        await owner.call(identityContract.giveGrant, { body: { principal: 'owner', grant } });
      }
    },
    attack: ({ owner }) => ofCall(() => upload(owner, 'release', { name: `${PROJECT}/evil`, version: '2' })),
    async legitimate({ owner }) {
      await upload(owner, 'playground', { name: `${PROJECT}/try`, version: '2' });
      return 'the owner uploads to the playground';
    },
  }),
];

/** Without the program's own second look: what a `curl` would get. */
async function fetchPlainly(
  { server, ca, developer }: House,
  artifact: string,
): Promise<{ status: number; body: Buffer }> {
  return await new Promise((resolve, reject) => {
    const headers = { authorization: `Bearer ${developer.token}` };
    get(`${server.url}/api/v1/artifacts/${artifact}/content`, { ca, headers, agent: false }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('error', reject);
      response.on('end', () => resolve({ status: response.statusCode ?? 0, body: Buffer.concat(chunks) }));
    }).on('error', reject);
  });
}

const store: readonly Drill[] = [
  inHouse({
    id: 'flip-stored-object',
    title: 'One byte of a stored artifact flipped on the server’s disk',
    threats: ['A4', 'A8', 'SLSA-G', 'SEC-9'],
    control: 'what is served was hashed again',
    refusal: /^storage\.object_damaged$/,
    controlOff: { objects: { rehash: false } },
    async attack(house) {
      const { id, digest } = await upload(house.developer.client, 'playground', {
        name: `${PROJECT}/flip`,
        version: '1',
      });
      const undo = await flipByte(house.server.platform.objects.path(digest as Digest));
      try {
        return judgeAnswer(await fetchPlainly(house, id), digest);
      } finally {
        await undo();
      }
    },
    async legitimate(house) {
      const { id, digest } = await upload(house.developer.client, 'playground', {
        name: `${PROJECT}/flip`,
        version: '2',
      });
      const { body } = await fetchPlainly(house, id);
      if (digestOf(body) !== digest) throw new Error('other bytes came');
      return 'an untouched artifact is served';
    },
  }),
  inHouse({
    id: 'version-overwritten',
    title: 'Other bytes under a version that exists',
    threats: ['SLSA-G', 'TRIVY-2026', 'CIS-4.1'],
    control: 'a version never changes',
    refusal: /^artifact\.version_immutable$/,
    controlOff: 'no-switch',
    async attack({ developer }) {
      const where = { name: `${PROJECT}/fixed`, version: '1' };
      await upload(developer.client, 'playground', { ...where, content: 'first' });
      return await ofCall(() => upload(developer.client, 'playground', { ...where, content: 'second' }));
    },
    async legitimate({ developer }) {
      await upload(developer.client, 'playground', { name: `${PROJECT}/fixed`, version: '2', content: 'second' });
      return 'a new version';
    },
  }),
];

function judgeAnswer({ status, body }: { status: number; body: Buffer }, digest: string): Attempt {
  if (status === 200) return { succeeded: digestOf(body) !== digest, detail: `status 200 with ${digestOf(body)}` };
  const { code, detail } = JSON.parse(body.toString()) as { code: string; detail: string };
  return { succeeded: false, code, detail };
}

/** Asks for a promotion to the first environment, and says whether it was granted. */
async function promotePlayground(house: House, artifact: string): Promise<Attempt> {
  const { developer, server } = house;
  let id = '';
  const asked = await ofCall(async () => {
    const body = { artifact, to: 'dev' };
    ({ id } = await developer.client.call(releaseContract.requestPromotion, { params: { project: PROJECT }, body }));
  });
  if (!asked.succeeded) return asked;
  await server.platform.journal.idle();
  const { status, checks } = await house.promotion(id);
  const codes = checks.flatMap(({ code }) => code ?? []);
  return { succeeded: status === 'promoted', code: codes.join(' '), detail: `the promotion is ${status}` };
}

const playground = {
  threats: ['A16', 'SLSA-F', 'SEC-1'],
  control: 'nothing from the playground is promoted',
  refusal: /^release\.not_promotable$/,
  // One control in two layers: the request is refused, and the policy would refuse the artifact.
  controlOff: { release: { releaseOnly: false }, promotion: { policy: false } },
  async legitimate(house: House) {
    const [tool] = await house.released();
    const { status } = await house.promote(tool!.digest, 'dev');
    if (status !== 'promoted') throw new Error(`the promotion of a built artifact is ${status}`);
    return 'what CI built is promoted';
  },
} as const;

const playgroundDrills: readonly Drill[] = [
  inHouse({
    ...playground,
    id: 'playground-promoted-by-name',
    title: 'A file from the playground promoted by name and version',
    async attack(house) {
      await upload(house.developer.client, 'playground', { name: `${PROJECT}/laptop`, version: '1' });
      return await promotePlayground(house, `${PROJECT}/laptop@1`);
    },
  }),
  inHouse({
    ...playground,
    id: 'playground-promoted-by-digest',
    title: 'A file from the playground promoted by digest',
    async attack(house) {
      const { digest } = await upload(house.developer.client, 'playground', {
        name: `${PROJECT}/laptop`,
        version: '2',
      });
      return await promotePlayground(house, digest);
    },
  }),
  inHouse({
    ...playground,
    id: 'playground-under-release-name',
    title: 'A file from the playground under the name of a release',
    prepare: (house) => house.released(),
    async attack(house) {
      const [tool] = await house.released();
      await upload(house.developer.client, 'playground', { name: tool!.name, version: '99-better' });
      return await promotePlayground(house, `${tool!.name}@99-better`);
    },
  }),
];

export const artifactDrills: readonly Drill[] = [...uploads, ...store, ...playgroundDrills];
