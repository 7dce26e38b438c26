import type { Run } from './command.ts';
import { commands } from './commands.ts';
import { renderCompletion, shells } from './completion.ts';
import { UsageError } from './exit.ts';
import { renderCommandHelp, renderNoun, renderOverview, renderTopic, topics } from './help.ts';

export const showHelp: Run = async (invocation) => {
  const text = helpText(invocation.argument('topic'), invocation.argument('verb'));
  return { document: { help: text }, text };
};

function helpText(topic: string | undefined, verb: string | undefined): string {
  if (topic === undefined) return renderOverview(commands);
  if (Object.hasOwn(topics, topic)) return renderTopic(topic as keyof typeof topics);
  const group = commands.filter((command) => command.noun === topic);
  const command = group.find((one) => one.verb === verb);
  if (command) return renderCommandHelp(command);
  if (group.length > 0 && verb === undefined) return renderNoun(topic, group);
  throw new UsageError(
    `There is no help on "${[topic, verb].filter(Boolean).join(' ')}".`,
    `Topics: ${Object.keys(topics).join(', ')}, and every noun of \`waybill help\`.`,
  );
}

export const showCompletion: Run = async (invocation) => {
  const shell = shells.find((one) => one === invocation.required('shell'));
  if (shell === undefined) throw new UsageError('This shell is not known.', `It is one of ${shells.join(', ')}.`);
  const script = renderCompletion(shell, commands);
  return { document: { shell, script }, text: script.trimEnd() };
};
