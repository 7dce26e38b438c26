/**
 * drill: attacks re-enacted against throw-away installations, to prove each control.
 * Guarantees: never touches a live installation; an attack counts as stopped only with the expected reason code; a control counts
 * as proven only if the same attack succeeds with only that control off and the legitimate flow beside it works.
 */
export { createDeveloper, type Developer } from './developer.ts';
export { type Attempt, type Drill, type DrillResult, type Switches } from './drill.ts';
export { baseFiles, buildScript, enrol, type House, type HouseOptions, openHouse } from './house.ts';
export { findDrills, type RunOptions, runDrills } from './run.ts';
