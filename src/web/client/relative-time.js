// <relative-time><time datetime="…">exact</time></relative-time>: "3 minutes ago", with the exact time on focus and hover.

/** @type {readonly (readonly [Intl.RelativeTimeFormatUnit, number])[]} */
const UNITS = [
  ['year', 31_536_000],
  ['month', 2_592_000],
  ['day', 86_400],
  ['hour', 3_600],
  ['minute', 60],
  ['second', 1],
];
const words = new Intl.RelativeTimeFormat('en', { numeric: 'auto' });
const REFRESH_MS = 30_000;

class RelativeTime extends HTMLElement {
  #timer = 0;

  connectedCallback() {
    const time = this.querySelector('time');
    const at = Date.parse(time?.dateTime ?? '');
    if (!time || Number.isNaN(at)) return;
    const exact = time.textContent ?? '';
    this.title = exact;
    this.setAttribute('role', 'note');
    const show = () => {
      const seconds = (at - Date.now()) / 1000;
      const [unit, size] = UNITS.find(([, length]) => Math.abs(seconds) >= length) ?? ['second', 1];
      time.textContent = words.format(Math.round(seconds / size), unit);
      this.setAttribute('aria-label', `${time.textContent}, ${exact}`);
    };
    show();
    this.#timer = setInterval(show, REFRESH_MS);
  }

  disconnectedCallback() {
    clearInterval(this.#timer);
  }
}

customElements.define('relative-time', RelativeTime);
