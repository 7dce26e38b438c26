/**
 * build: from an accepted push to outputs with signed provenance.
 * Guarantees: a workflow runs as planned from the pushed commit or is refused with line and column; every step runs in a sandbox
 * of its own; one attempt of a job holds its credential and a later attempt fences an earlier one; outputs are hashed by the
 * control plane as they arrive and count only if the whole run succeeds; provenance is made of recorded facts alone.
 */
export { buildModule } from './apply.ts';
export { Assignment, ClaimRequest, Completion } from './assignment.ts';
export { type Build, type BuildControls, type BuildOptions, createBuild } from './build.ts';
export * as buildContract from './contract.ts';
export {
  type JobFinished,
  jobFinished,
  type JobStarted,
  jobStarted,
  type ProvenanceSigned,
  provenanceSigned,
  type RunFinished,
  runFinished,
  type RunQueued,
  runQueued,
} from './facts.ts';
export { type LogChunk } from './logs.ts';
export { type PlanProblem, type WorkflowPlan } from './plan.ts';
export { type Planning, planWorkflows } from './planner.ts';
export { createRunnerApi, type RunnerApi } from './runner/api.ts';
export { runRunner, type RunnerOptions } from './runner/runner.ts';
export { type BuildSource } from './sources.ts';
export { type JobView, type RefusalView, type RunView } from './view.ts';
export { type BuildWorkers, startBuildWorkers } from './worker.ts';
export { type WorkflowFile } from './workflow.ts';
