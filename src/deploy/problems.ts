import { Problem } from '#base';

export const targetNotFound = (id: string) =>
  new Problem({
    code: 'deploy.target_not_found',
    kind: 'not_found',
    message: `There is no target ${id.slice(0, 40)}.`,
    hint: 'List them: waybill target list.',
  });

export const notYourTarget = (id: string) =>
  new Problem({
    code: 'deploy.not_your_target',
    kind: 'forbidden',
    message: `The target ${id.slice(0, 40)} belongs to another agent.`,
    hint: 'Use the credential of the agent that this target was made for.',
  });

export const targetExists = (name: string) =>
  new Problem({
    code: 'deploy.target_exists',
    kind: 'conflict',
    message: `This environment has a target named ${name} already.`,
    hint: 'Choose another name.',
  });

export const agentNotFound = (agent: string) =>
  new Problem({
    code: 'deploy.agent_not_found',
    kind: 'not_found',
    message: `There is no machine named ${agent.slice(0, 80)}.`,
    hint: 'Create one with the role agent first.',
  });

export const notPromoted = (artifact: string, environment: string) =>
  new Problem({
    code: 'deploy.not_promoted',
    kind: 'rejected',
    message: `${artifact.slice(0, 120)} was not promoted to ${environment}.`,
    hint: `Promote it first: waybill promotion request --to ${environment}.`,
  });

export const deploymentNotFound = (id: string) =>
  new Problem({
    code: 'deploy.deployment_not_found',
    kind: 'not_found',
    message: `This target has no deployment ${id.slice(0, 40)} of these bytes.`,
    hint: 'Report it as verified first.',
  });
