import { Problem } from '#base';

/** One server-sent event (WHATWG HTML §9.2.6). */
export interface ServerEvent {
  /** The last id seen, '' before the first. */
  id: string;
  event: string;
  data: string;
}

/** One event; a log arrives in chunks far smaller than this. */
const EVENT_MAX_CHARS = 4 * 1024 * 1024;

export interface EventParser {
  /** Text in, complete events out. */
  push(text: string): ServerEvent[];
  /** What the server asked for with `retry:`, milliseconds. */
  retryMs(): number | undefined;
}

/** Incremental: an event may be cut anywhere, also between CR and LF. */
export function createEventParser(): EventParser {
  let rest = '';
  let size = 0;
  let data: string[] = [];
  let event = '';
  let id = '';
  let retry: number | undefined;

  const takeLine = (line: string): ServerEvent | undefined => {
    if (line === '') {
      const complete =
        data.length > 0 ? { id, event: event === '' ? 'message' : event, data: data.join('\n') } : undefined;
      [data, event, size] = [[], '', 0];
      return complete;
    }
    const colon = line.indexOf(':');
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? '' : line.slice(colon + (line[colon + 1] === ' ' ? 2 : 1));
    size += value.length;
    if (size > EVENT_MAX_CHARS) throw tooLarge();
    if (field === 'data') data.push(value);
    else if (field === 'event') event = value;
    else if (field === 'id' && !value.includes('\0')) id = value;
    else if (field === 'retry' && /^\d{1,7}$/.test(value)) retry = Number(value);
    return undefined;
  };

  return {
    push(text) {
      rest += text;
      const events: ServerEvent[] = [];
      for (;;) {
        const match = /\r\n|\n|\r(?!$)/.exec(rest);
        if (!match) break;
        const complete = takeLine(rest.slice(0, match.index));
        if (complete) events.push(complete);
        rest = rest.slice(match.index + match[0].length);
      }
      if (rest.length > EVENT_MAX_CHARS) throw tooLarge();
      return events;
    },
    retryMs: () => retry,
  };
}

function tooLarge(): Problem {
  return new Problem({
    code: 'client.event_too_large',
    kind: 'limited',
    message: `The server sent an event larger than ${EVENT_MAX_CHARS} characters.`,
    hint: 'Check that the address is that of a Waybill server.',
  });
}
