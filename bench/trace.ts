// Trace of one artifact, over the API, with 100 000 other facts in the journal and in the ledger.
import { artifactContract } from '#artifact';
import { openHouse } from '#drill';
import { enrolmentFacts } from './facts.ts';
import { traceContract } from '#trace';
import { type Benchmark, median, row } from './report.ts';

const FACTS = 100_000;
const ROUNDS = 9;

export const trace: Benchmark = {
  name: 'trace',
  async run(say) {
    const house = await openHouse();
    try {
      await house.startRunner();
      const commit = await house.maintainer.commit({
        files: {
          '.github/workflows/one.yml':
            'name: one\non:\n  push:\n    branches: [main]\njobs:\n  one:\n    runs-on: ubuntu-latest\n    steps:\n      - run: echo x > x\n      - uses: actions/upload-artifact@v4\n        with: {name: x, path: x}\n',
        },
      });
      await house.maintainer.push();
      const run = await house.awaitRun(commit);
      const [artifact] = await house.awaitArtifacts(run.run);
      const name = `${artifact!.name}@${artifact!.version}`;
      const ask = () => house.developer.client.call(traceContract.showTrace, { query: { name } });
      const small = await times(ask);
      await house.developer.client.call(artifactContract.showArtifact, { params: { artifact: artifact!.id } });
      await enrolmentFacts(house.server.platform, FACTS, say);
      const large = await times(ask);
      const head = await house.server.platform.journal.head();
      return [
        row({ case: 'trace, a fresh installation', unit: 'ms', ours: median(small), higherIsBetter: false }),
        row({
          case: `trace, ${head} facts in the journal`,
          unit: 'ms',
          ours: median(large),
          goal: 'flat',
          higherIsBetter: false,
        }),
      ];
    } finally {
      await house.close();
    }
  },
};

async function times(ask: () => Promise<{ ok: boolean }>): Promise<number[]> {
  const measured: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const start = performance.now();
    const { ok } = await ask();
    if (!ok) throw new Error('the trace does not hold');
    measured.push(performance.now() - start);
  }
  return measured;
}
