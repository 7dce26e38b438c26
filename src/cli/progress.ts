import { say, type Terminal } from './terminal.ts';

/** A wait shorter than this needs no explanation. */
const QUIET_MS = 500;
const REDRAW_MS = 120;
const FRAMES = ['⠋', '⠙', '⠹', '⠸', '⠼', '⠴', '⠦', '⠧', '⠇', '⠏'] as const;

export interface Progress {
  /** A new phase; in a pipe it is one line. */
  state(text: string): void;
  /** How far the phase is; shown on a terminal only. */
  update(text: string): void;
  stop(): void;
}

/** On a terminal: one line on stderr that is redrawn, after half a second, and removed at the end. In a pipe: a line a state. */
export function startProgress(terminal: Terminal, first: string): Progress {
  const live = terminal.stderr.isTTY === true;
  let text = first;
  let frame = 0;
  let drawn = false;
  const startedAt = performance.now();
  const draw = (): void => {
    if (performance.now() - startedAt < QUIET_MS) return;
    drawn = true;
    terminal.stderr.write(`\r\u001b[K${FRAMES[frame++ % FRAMES.length] ?? ''} ${text}`);
  };
  const timer = live ? setInterval(draw, REDRAW_MS) : undefined;
  timer?.unref();
  return {
    state(next) {
      if (next !== text && !live) say(terminal, next);
      text = next;
    },
    update(next) {
      text = next;
    },
    stop() {
      clearInterval(timer);
      if (drawn) terminal.stderr.write('\r\u001b[K');
    },
  };
}
