import { Problem } from '#base';
import type { Identity } from '#identity';
import { hashBase64, type Ledger, presentFactProof } from '#ledger';
import { html, nothing, path } from './html.ts';
import type { Site } from './site.ts';
import {
  factPath,
  renderBanner,
  renderChecks,
  renderCommand,
  renderCopy,
  renderFields,
  renderSection,
  renderTable,
} from './parts.ts';

const ENTRIES_SHOWN = 10;

/** The log of everything that happened: what it promises now, and the proof for one entry. */
export function registerLedger(site: Site, { identity, ledger }: { identity: Identity; ledger: Ledger }): void {
  site.page('/ledger', async ({ caller, query, reply }) => {
    await identity.require(caller, 'ledger:read');
    if (query['fact'] !== undefined) reply.redirect(factPath(parseFactNumber(query['fact'])), 303);
    const checkpoint = ledger.events.checkpoint();
    const newest = Array.from({ length: Math.min(ENTRIES_SHOWN, checkpoint.size) }, (_, at) => checkpoint.size - at);
    return {
      title: 'Ledger',
      api: '/api/v1/ledger',
      command: 'waybill ledger status',
      body: html`${
          ledger.refusal
            ? renderBanner('no', 'The ledger takes nothing new.', html`<p>${ledger.refusal.message}</p>`)
            : renderBanner('active', `${checkpoint.size} entries, one for each thing that happened.`)
        }
        <p>
          The server signs how long the ledger is and what it contains, and can never take that back unseen: whoever
          kept an earlier checkpoint can prove it. This page shows what the server says; your own check is the command
          below.
        </p>
        ${renderFields([
          ['Log', html`<code>${checkpoint.origin}</code>`],
          ['Size', checkpoint.size],
          ['Root', renderCopy(hashBase64(checkpoint.root))],
          ['Key', renderCopy(ledger.events.verifier.vkey)],
        ])}
        ${renderSection('Signed checkpoint', html`<pre tabindex="0">${checkpoint.note}</pre>`)}
        ${renderSection(
          'Find an entry',
          html`<form class="form" method="get" action="/ledger">
            <label for="fact">Number of a fact</label>
            <input id="fact" name="fact" inputmode="numeric" pattern="[1-9][0-9]*" required />
            <div><button type="submit">Show</button></div>
          </form>`,
        )}
        ${renderSection(
          'Newest entries',
          renderTable(
            'Newest entries',
            newest,
            [{ title: 'Fact', cell: (number) => html`<a href="${factPath(number)}">Fact ${number}</a>` }],
            'Nothing happened yet.',
          ),
        )}`,
    };
  });

  site.page('/ledger/:fact', async ({ caller, params }) => {
    await identity.require(caller, 'ledger:read');
    const number = parseFactNumber(params['fact'] ?? '');
    const [proof, verdict] = await Promise.all([presentFactProof(ledger, number), ledger.verifyFact(number)]);
    return {
      title: `Fact ${number}`,
      trail: [{ href: '/ledger', text: 'Ledger' }],
      api: path`/api/v1/ledger/facts/${number}`,
      command: `waybill ledger entry ${number}`,
      body: html`${renderBanner(
        verdict.ok ? 'yes' : 'no',
        verdict.ok
          ? `The server finds fact ${number} unaltered and under its signed checkpoint.`
          : `The server finds that fact ${number} was altered.`,
        html`<p>Checked now, by the server, from its disk. The command below lets you check it yourself.</p>`,
      )}
      ${renderSection('Checks', renderChecks(verdict.checks))}
      ${renderSection(
        'Entry',
        html`<p>
            What is hashed. It holds commitments, not contents, so contents can be erased without breaking the log.
          </p>
          <pre tabindex="0">${readable(proof.leaf)}</pre>
          ${renderFields([
            ['Position', proof.index],
            ['Leaf hash', renderCopy(proof.leafHash)],
            ['Tree size', proof.size],
          ])}`,
      )}
      ${renderSection(
        'Proof',
        html`<p>${proof.hashes.length} hashes lead from the entry to the signed root.</p>
          <details>
            <summary>Show the proof file (C2SP tlog-proof)</summary>
            <pre tabindex="0">${proof.tlogProof}</pre>
          </details>
          ${renderCommand(`waybill ledger prove ${number} --out fact-${number}.tlog-proof`)}`,
      )}
      ${number > 1 ? html`<p><a href="${factPath(number - 1)}">Fact ${number - 1}, the one before</a></p>` : nothing}`,
    };
  });
}

function readable(leaf: string): string {
  try {
    return JSON.stringify(JSON.parse(leaf), null, 2);
  } catch {
    return leaf;
  }
}

function parseFactNumber(text: string): number {
  const number = /^[1-9]\d{0,15}$/.test(text) ? Number(text) : Number.NaN;
  if (Number.isSafeInteger(number)) return number;
  throw new Problem({
    code: 'web.fact_number_invalid',
    kind: 'invalid',
    message: 'This is not the number of a fact.',
    hint: 'Facts are numbered 1, 2, 3, …',
  });
}
