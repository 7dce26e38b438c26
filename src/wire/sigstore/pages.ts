import { type Attest, ownPredicates, predicateSchema } from '#attest';
import { toIso } from '#base';
import type { App } from '#http';
import type { Identity } from '#identity';
import { unauthenticated } from '#identity';

/** The addresses that stand in signed statements lead somewhere: plain pages without script and style. */

export interface PageDeps {
  attest: Attest;
  identity: Identity;
  publicUrl: string;
  version: string;
}

type Block = string | readonly string[] | { term: string; text: string }[];

const escape = (text: string) =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');

function renderPage(title: string, sections: readonly (readonly [heading: string, ...blocks: Block[]])[]): string {
  const body = sections.map(
    ([heading, ...blocks]) => `<h2>${escape(heading)}</h2>\n${blocks.map(renderBlock).join('\n')}`,
  );
  return `<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>${escape(title)}</title></head>
<body>
<h1>${escape(title)}</h1>
${body.join('\n')}
</body>
</html>
`;
}

function renderBlock(block: Block): string {
  if (typeof block === 'string') return `<p>${escape(block)}</p>`;
  const items = block.map((item) =>
    typeof item === 'string'
      ? `<li>${escape(item)}</li>`
      : `<dt>${escape(item.term)}</dt><dd>${escape(item.text)}</dd>`,
  );
  const list = typeof block[0] === 'string' ? 'ul' : 'dl';
  return `<${list}>\n${items.join('\n')}\n</${list}>`;
}

export function registerPredicatePages(app: App, { attest, identity, publicUrl, version }: PageDeps): void {
  const html = (path: string, page: () => string) => {
    app.get(path, async (_request, reply) => await reply.type('text/html; charset=utf-8').send(page()));
  };

  html('/builders/hosted-sandbox/v1', () =>
    renderPage('Builder: hosted sandbox, v1', [
      [
        'What it is',
        `${publicUrl}/builders/hosted-sandbox/v1 builds on machines of this installation, each step in a sandbox of its own.`,
      ],
      [
        'What it claims',
        'SLSA Build Level 3, for provenance signed under the issuer below. Under any other issuer it claims nothing.',
        [{ term: 'Issuer', text: attest.controlIssuer }],
      ],
      [
        'Why',
        [
          'Each step runs in a fresh sandbox: no network, no capabilities, an empty environment, an unprivileged user.',
          'Provenance is made and signed by the control plane from its own records, after the run has succeeded. No step can reach a signing key.',
          'A build supplies the bytes of its outputs and nothing else of the provenance; their digests are computed by the control plane.',
          'Tokens of builds carry another issuer, which the control plane never uses and builds cannot choose.',
        ],
      ],
    ]),
  );

  html('/buildtypes/workflow/v1', () =>
    renderPage('Build type: workflow, v1', [
      ['What it is', 'A workflow file of the repository, in the language of GitHub Actions, run at one commit.'],
      [
        'External parameters',
        'All of them; a verifier should refuse any other.',
        [
          { term: 'workflow.repository', text: 'Address of the repository the workflow and its source are from.' },
          { term: 'workflow.path', text: 'Path of the workflow file in it.' },
          { term: 'workflow.ref', text: 'The ref that was pushed.' },
        ],
      ],
      [
        'Resolved dependencies',
        'The commit that was built (gitCommit), the workflow file (sha256) and the toolchain the sandbox showed.',
      ],
      ['Byproducts', 'The log of each job, by digest.'],
    ]),
  );

  html('/verifier/v1', () =>
    renderPage('Verifier, v1', [
      [
        'What it is',
        'Decides promotions by the policy of an environment and signs a summary of each decision, refusals included.',
      ],
      [
        'Verify a summary',
        `As a Sigstore bundle: signer ${publicUrl}/verifier/v1, issuer ${attest.controlIssuer}.`,
        `As a bare envelope (format=dsse), for slsa-verifier verify-vsa, with the public key at ${publicUrl}/verifier/v1/key.pem.`,
      ],
    ]),
  );
  app.get('/verifier/v1/key.pem', async (_request, reply) => {
    return await reply.type('application/x-pem-file').send(attest.summaryKey);
  });

  for (const [name, { path, title }] of Object.entries(ownPredicates)) {
    const schema = () => predicateSchema(name as keyof typeof ownPredicates, publicUrl);
    app.get(`${path}/schema.json`, async (_request, reply) => {
      return await reply.type('application/schema+json').send(JSON.stringify(schema()));
    });
    html(path, () =>
      renderPage(`Predicate: ${title}, v1`, [
        ['Type', `${publicUrl}${path}`],
        ['Schema', `JSON Schema: ${publicUrl}${path}/schema.json`],
        ['Fields', Object.keys((schema()['properties'] ?? {}) as object)],
      ]),
    );
  }

  html('/oidc/control', () =>
    renderPage('Issuer: the control plane', [
      [
        'What it is',
        `${attest.controlIssuer} stands in certificates of what this installation itself signs: provenance and verification summaries.`,
      ],
      [
        'What it is not',
        'There are no tokens of this issuer and it publishes no keys, so nobody can ask for a certificate in its name.',
      ],
    ]),
  );

  app.get('/assessment', async (request, reply) => {
    if (request.caller.kind === 'anonymous') throw unauthenticated();
    await identity.require(request.caller, 'audit:read');
    const people = (await identity.decide(request.caller, 'identity:admin')).allowed
      ? (await identity.listPrincipals(request.caller)).map(
          ({ kind, name, active }) => `${name} (${kind}${active ? '' : ', disabled'})`,
        )
      : ['Shown to whoever administers identities.'];
    const trust = attest.trust();
    const generations = (['ca', 'tsa', 'ct', 'log', 'rekor2'] as const).map((part) => ({
      term: part,
      text: trust[part]
        .map(
          ({ generation, start, end }) =>
            `${generation}: from ${toIso(start)}${end === undefined ? ', in use' : ` to ${toIso(end)}`}`,
        )
        .join('; '),
    }));
    const tuf = await attest.tuf.status();
    const alerts = (await attest.alerts()).map(({ at, code, message }) => `${toIso(at)} ${code}: ${message}`);
    const page = renderPage('SLSA self-assessment of this build platform', [
      ['Platform', `Waybill ${version} at ${publicUrl}, named ${trust.name}.`],
      [
        'Who has access',
        'Everybody with an account; what each may do is explained by: waybill access explain.',
        people,
      ],
      [
        'Keys and their rotation',
        generations,
        `The root key of the TUF repository is ${tuf.key === 'vault' ? 'in this server' : 'kept offline'}.`,
      ],
      [
        'If a key is compromised',
        'waybill trust rotate PART --compromised ends it at once. What it signed before stays valid up to that moment, and every certificate is in the list of certificates, which is compared with what asked for it.',
      ],
      ['Findings of that comparison', alerts.length === 0 ? 'None.' : alerts],
      [
        'Isolation',
        'One sandbox a step (bubblewrap, seccomp, namespaces), proven on each runner before it takes work: waybill doctor shows the result. Steps have no network.',
      ],
      ['Caches', 'None are shared between builds.'],
      [
        'How outputs reach the repository',
        'The runner uploads bytes; the control plane hashes them, signs provenance and alone writes to the release repository. No role may write there.',
      ],
      ['What builds may say about themselves', 'The names and bytes of their outputs.'],
    ]);
    return await reply.type('text/html; charset=utf-8').send(page);
  });
}
