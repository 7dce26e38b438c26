// <log-stream data-src="…events" data-job="…">: the log of a job, live. Its text is kept as lines in memory; the page holds
// at most DOM_LINES_MAX of them, so that a log of any length neither freezes the tab nor has to be reloaded.

const DOM_LINES_MAX = 2_000;
const MORE_LINES = 1_000;
/** Far above the limit of the server for one log. */
const LINES_MAX = 2_000_000;

/** Colour codes and other control characters are no text. */
// oxlint-disable-next-line no-control-regex
const CONTROL = new RegExp('\\u001b\\[[0-9;?]*[ -/]*[@-~]|[\\u0000-\\u0008\\u000b-\\u001f\\u007f-\\u009f]', 'g');

class LogStream extends HTMLElement {
  /** @type {string[]} */
  #lines = [];
  /** The first and one past the last line that are in the page. */
  #from = 0;
  #to = 0;
  #rest = '';
  #drawing = false;
  #chosen = -1;
  /** @type {EventSource | undefined} */
  #events;
  #view = document.createElement('div');
  #earlier = document.createElement('button');
  #later = document.createElement('button');
  #state = document.createElement('span');

  connectedCallback() {
    const source = this.dataset['src'];
    if (!source || this.#events) return;
    this.#build();
    this.#choose();
    window.addEventListener('hashchange', this.#choose);
    this.#say('Connecting…');
    const events = new EventSource(source);
    this.#events = events;
    events.onopen = () => this.#say('Live');
    events.onmessage = (event) => this.#take(JSON.parse(event.data));
    events.addEventListener('end', () => {
      events.close();
      if (this.#rest !== '') this.#take('\n');
      this.#say(`Complete, ${this.#lines.length} lines`);
    });
    // The browser connects again by itself and resumes after the last event that it has seen.
    events.onerror = () =>
      this.#say(events.readyState === EventSource.CLOSED ? 'The log cannot be read' : 'Connecting again…');
  }

  disconnectedCallback() {
    this.#events?.close();
    window.removeEventListener('hashchange', this.#choose);
  }

  #build() {
    const tools = document.createElement('div');
    tools.className = 'log-tools';
    const raw = this.querySelector('a');
    for (const [button, text] of /** @type {const} */ ([
      [this.#earlier, 'Show earlier lines'],
      [this.#later, 'Show later lines'],
    ])) {
      button.type = 'button';
      button.className = 'quiet';
      button.textContent = text;
      button.hidden = true;
    }
    this.#earlier.addEventListener('click', () => this.#show(Math.max(0, this.#from - MORE_LINES)));
    this.#later.addEventListener('click', () => this.#show(this.#from + MORE_LINES));
    this.#state.setAttribute('role', 'status');
    this.#state.className = 'soft';
    tools.append(this.#state, ...(raw ? [raw] : []));
    this.#view.className = 'log';
    this.#view.tabIndex = 0;
    this.#view.setAttribute('role', 'region');
    this.#view.setAttribute('aria-label', `Log of ${this.dataset['name'] ?? 'the job'}`);
    this.replaceChildren(tools, this.#earlier, this.#view, this.#later);
  }

  /** @param {string} text */
  #say(text) {
    this.#state.textContent = text;
  }

  /** @param {string} text */
  #take(text) {
    const lines = (this.#rest + text).split('\n');
    this.#rest = lines.pop() ?? '';
    for (const line of lines) if (this.#lines.length < LINES_MAX) this.#lines.push(line.replace(CONTROL, ''));
    this.#draw();
  }

  /** At most once a frame, however fast the log comes. */
  #draw() {
    if (this.#drawing) return;
    this.#drawing = true;
    requestAnimationFrame(() => {
      this.#drawing = false;
      const atEnd = this.#view.scrollHeight - this.#view.scrollTop - this.#view.clientHeight < 40;
      if (this.#chosen >= 0 && this.#chosen < this.#lines.length) return this.#showChosen();
      const pinned = this.#to > 0 && !atEnd;
      if (!pinned) {
        this.#append();
        this.#view.scrollTop = this.#view.scrollHeight;
      } else if (this.#to - this.#from < DOM_LINES_MAX) this.#append();
      this.#offerMore();
    });
  }

  #append() {
    const fragment = document.createDocumentFragment();
    const start = Math.max(this.#to, this.#lines.length - DOM_LINES_MAX);
    for (let at = start; at < this.#lines.length; at++) fragment.append(this.#row(at));
    if (start > this.#to) this.#view.replaceChildren();
    this.#from = start > this.#to ? start : this.#from;
    this.#to = this.#lines.length;
    this.#view.append(fragment);
    while (this.#to - this.#from > DOM_LINES_MAX) {
      this.#view.firstElementChild?.remove();
      this.#from += 1;
    }
  }

  /** @param {number} from */
  #show(from) {
    this.#from = Math.max(0, Math.min(from, this.#lines.length - 1));
    this.#to = Math.min(this.#lines.length, this.#from + DOM_LINES_MAX);
    this.#view.replaceChildren(...Array.from({ length: this.#to - this.#from }, (_, at) => this.#row(this.#from + at)));
    this.#view.scrollTop = 0;
    this.#offerMore();
  }

  #showChosen() {
    const chosen = this.#chosen;
    this.#chosen = -1;
    this.#show(Math.max(0, chosen - DOM_LINES_MAX / 2));
    const row = this.#view.children[chosen - this.#from];
    row?.classList.add('chosen');
    row?.scrollIntoView({ block: 'center' });
  }

  #offerMore() {
    this.#earlier.hidden = this.#from === 0;
    this.#later.hidden = this.#to >= this.#lines.length;
  }

  /** @param {number} at */
  #row(at) {
    const row = document.createElement('div');
    row.className = 'line';
    const link = document.createElement('a');
    link.href = `#${this.dataset['job'] ?? ''}-${at + 1}`;
    link.textContent = String(at + 1);
    link.setAttribute('aria-label', `Line ${at + 1}`);
    const text = document.createElement('span');
    text.textContent = this.#lines[at] ?? '';
    row.append(link, text);
    return row;
  }

  #choose = () => {
    const prefix = `#${this.dataset['job'] ?? ''}-`;
    const line = location.hash.startsWith(prefix) ? Number(location.hash.slice(prefix.length)) : 0;
    if (!Number.isSafeInteger(line) || line < 1) return;
    this.closest('details')?.setAttribute('open', '');
    this.#chosen = line - 1;
    this.#draw();
  };
}

customElements.define('log-stream', LogStream);
