import assert from 'node:assert/strict';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { digestOf } from '#base';
import { withHouse, workflow } from '../src/build/testhouse.ts';

/** Pushes one workflow per text, runs all of them, and gives state and log of each. */
async function runAll(
  house: Parameters<Parameters<typeof withHouse>[0]>[0],
  texts: readonly string[],
): Promise<{ run: string; state: string; log: string; outputs: readonly { name: string; digest: string }[] }[]> {
  const ids: string[] = [];
  for (const text of texts) ids.push(...(await house.push(workflow(text))).runs);
  assert.equal(ids.length, texts.length);
  await house.work(texts.length);
  return await Promise.all(
    ids.map(async (run) => {
      const { state, outputs } = await house.build.showRun(house.owner, run);
      return { run, state, outputs, log: await house.logOf(run) };
    }),
  );
}

describe('what a hostile build tries', () => {
  test('network, files of the host, the runner’s environment and leftovers of another build are out of reach', () =>
    withHouse(async (house) => {
      const server = createServer((socket) => socket.end('reached'));
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
      const { port } = server.address() as { port: number };
      const [first, second] = await runAll(house, [
        `- run: |
    touch /ws/left $HOME/left /tmp/left
    (trap '' HUP TERM; setsid sleep 86397) &
    (exec 3<>/dev/tcp/127.0.0.1/${port}) && echo REACHED || echo no loopback
    (exec 3<>/dev/tcp/169.254.169.254/80) && echo REACHED || echo no metadata
    cat ${join(house.dir, 'waybill.db')} ${house.dir}/vault/* /etc/shadow && echo READ || echo no host files
    tr '\\0' '\\n' < /proc/1/environ | grep . && echo LEAKED || echo no environment
    env | grep -i wbj_ && echo LEAKED || echo no token
    ls /proc | grep -c '^[0-9]' `,
        `- run: |
    ls -A /ws $HOME /tmp
    pgrep -f 'sleep 86397' && echo SURVIVED || echo alone`,
      ]);
      server.close();
      assert.doesNotMatch(first!.log, /REACHED|READ$|LEAKED/m);
      for (const expected of ['no loopback', 'no metadata', 'no host files', 'no environment', 'no token']) {
        assert.match(first!.log, new RegExp(`Z ${expected}$`, 'm'));
      }
      assert.doesNotMatch(second!.log, /left|SURVIVED/);
      assert.match(second!.log, /alone/);
    }));

  test('links, pipes and names outside the workspace are refused as artifacts', () =>
    withHouse(async (house) => {
      const upload = (make: string, path: string): string => `- run: ${make}
- uses: actions/upload-artifact@v4
  with:
    name: out
    path: ${path}`;
      const runs = await runAll(house, [
        upload('ln -s /etc/passwd out', 'out'),
        upload('mkfifo out', 'out'),
        upload('mkdir d && ln -s /etc e && echo x > d/x', 'e/passwd'),
        upload('"true"', '../home/build'),
        upload('echo x > a && ln a out', 'out'),
        upload('mkdir out && ln -s /proc/self/environ out/x', 'out'),
      ]);
      assert.deepEqual(
        runs.map(({ state }) => state),
        Array(6).fill('failure'),
      );
      const reasons = [
        /symbolic link/,
        /not a regular file/,
        /no file matches|symbolic link/,
        /outside the workspace/,
        /hard link/,
        /symbolic link/,
      ];
      for (const [index, reason] of reasons.entries()) assert.match(runs[index]!.log, reason);
      assert.deepEqual(
        runs.flatMap(({ outputs }) => outputs),
        [],
      );
    }));

  test('a step cannot reach into later steps by printing or by reserved names', () =>
    withHouse(async (house) => {
      const runs = await runAll(house, [
        `- run: echo LD_PRELOAD=/ws/evil.so >> "$GITHUB_ENV"`,
        `- run: printf 'NODE_OPTIONS<<E\\n--require /ws/x\\nE\\n' >> "$GITHUB_ENV"`,
        `- run: echo '::set-env name=A::b'`,
        `- run: echo '::add-path::/ws/evil'`,
        `- run: rm "$GITHUB_OUTPUT" && ln -s /etc/passwd "$GITHUB_OUTPUT"`,
        `- run: rm "$GITHUB_ENV" && mkfifo "$GITHUB_ENV"`,
        `- run: |
    echo '::stop-commands::pause'
    echo '::set-env name=A::b'
    echo '::pause::'
    echo HARMLESS=yes >> "$GITHUB_ENV"
- run: echo "harmless is $HARMLESS"`,
      ]);
      assert.deepEqual(
        runs.map(({ state }) => state),
        [...Array(6).fill('failure'), 'success'],
      );
      assert.match(runs[0]!.log, /may not set LD_PRELOAD/);
      assert.match(runs[1]!.log, /may not set NODE_OPTIONS/);
      assert.match(runs[2]!.log, /set-env is refused/);
      assert.match(runs[3]!.log, /add-path is refused/);
      assert.match(runs[4]!.log, /removed or replaced/);
      assert.match(runs[5]!.log, /replaced by something else/);
      assert.match(runs[6]!.log, /harmless is yes/);
    }));

  test('provenance that a build prints or writes changes nothing, and masked values stay out of the log', () =>
    withHouse(async (house) => {
      const secret = 'correct horse battery staple';
      const forged =
        '{"predicateType":"https://slsa.dev/provenance/v1","predicate":{"runDetails":{"builder":{"id":"https://evil"}}}}';
      const [run] = await runAll(house, [
        `- run: |
    echo '::add-mask::${secret}'
    echo 'it is ${secret}.'; echo -n '${secret}' | base64; echo -n 'a${secret}' | base64
    echo '${forged}' | tee out.sigstore.json provenance.json
    echo "builder=https://evil" >> "$GITHUB_OUTPUT"
    echo data > out
- uses: actions/upload-artifact@v4
  with:
    name: out
    path: out`,
      ]);
      assert.equal(run!.state, 'success', run!.log);
      assert.doesNotMatch(run!.log.replace(/##\[group\].*/, ''), /correct horse|Y29ycmVjdCBob3|JyZWN0IGhvcnNlI/);
      const { provenance, outputs } = await house.build.showRun(house.owner, run!.run);
      assert.equal(outputs[0]!.digest, digestOf('data\n'));
      const bundle = (await house.objects.read(provenance as never)).toString();
      const { payload } = (JSON.parse(bundle) as { dsseEnvelope: { payload: string } }).dsseEnvelope;
      const statement = Buffer.from(payload, 'base64').toString();
      assert.doesNotMatch(statement, /evil/);
      assert.match(statement, /builders\/hosted-sandbox\/v1/);
    }));

  test('a run that fails publishes nothing, whatever it uploaded before', () =>
    withHouse(async (house) => {
      const [run] = await runAll(house, [
        `- run: echo data > out
- uses: actions/upload-artifact@v4
  with:
    path: out
- run: exit 3`,
      ]);
      assert.equal(run!.state, 'failure');
      const { outputs, provenance, jobs } = await house.build.showRun(house.owner, run!.run);
      assert.deepEqual([outputs, provenance], [[], null]);
      assert.equal(jobs[0]!.steps.at(-1)!.exitCode, 3);
    }));
});
