/**
 * deploy: what runs, and whether it is what was promised.
 * Guarantees: an agent believes its pinned trust root and its own hashing, never the server or the repository; it starts the
 * bytes it verified and no others; what changes afterwards is on record within seconds; reports come from the target's own
 * agent, about artifacts that were promoted to its environment.
 */
export { runAgent } from './agent/agent.ts';
export { type AgentEvent, type AgentOptions, type Program } from './agent/options.ts';
export { type AgentApi } from './agent/port.ts';
export { type Plan, type PlanItem, type Report } from './agent/protocol.ts';
export { type Pins, verifyDeployable } from './agent/verify.ts';
export { agentApi } from './agentapi.ts';
export { deployModule } from './apply.ts';
export * as deployContract from './contract.ts';
export { createDeployments, type DeploymentQuery, type DeployOptions, type Deployments } from './deploy.ts';
export { type Drifted, type Stopped, type Verified } from './facts.ts';
export { presentDeployment, presentTarget } from './present.ts';
export { type Deployment, type DeploymentStatus, type Target } from './store.ts';
