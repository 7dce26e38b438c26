import { hashToken, generateToken, consoleActor } from '#identity';
import type { Platform } from '#server';
import { tokenIssuedFact } from './token-fact.ts';

const BATCH = 500;

/** Fills the journal with ordinary facts (tokens issued) and waits until the ledger covers them. */
export async function enrolmentFacts(platform: Platform, count: number, say: (text: string) => void): Promise<void> {
  const pepper = Buffer.alloc(32, 1);
  for (let made = 0; made < count; made += BATCH) {
    const drafts = Array.from({ length: BATCH }, (_, index) =>
      tokenIssuedFact(`tok_bench${made + index}`, hashToken(pepper, generateToken('access')), consoleActor),
    );
    await platform.journal.recordAll(drafts);
    if (made % 20_000 === 0) say(`${made} facts`);
  }
  await platform.ledger.waitForFact(await platform.journal.head());
}
