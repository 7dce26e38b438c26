import type { Protection } from '#sandbox';
import type { Controls } from '#server';
import type { House } from './house.ts';

/** What a drill may take away. One entry is one control; a control with two layers names both. */
export interface Switches extends Controls {
  /** Of the deploy agent. */
  agent?: { verify?: boolean; hash?: boolean };
  /** The one protection the sandbox leaves out. */
  sandbox?: Protection;
  /** A control that detects: off means that nobody asks it, and shows that the attack is then noticed by nobody. */
  asked?: false;
}

/** What an attack came to. `code`: the reason the platform gave, if it refused. */
export interface Attempt {
  succeeded: boolean;
  code?: string;
  detail: string;
}

/** Where an attack takes place. The installation is opened when it is asked for: not every attack needs one. */
export interface Stage {
  house(): Promise<House>;
  /** Nothing in it: every control is on. */
  switches: Switches;
  /** A directory of its own, removed afterwards. */
  dir: string;
}

/**
 * One attack, re-enacted. It runs twice, each time on a throw-away installation: with every control on it must be refused with
 * `refusal` and change nothing, and with only `controlOff` switched off it must succeed; otherwise the control is unproven.
 * Beside it the legitimate flow runs, so that refusing everything does not pass.
 */
export interface Drill {
  id: string;
  title: string;
  /** What it belongs to: SLSA threats, CICD-SEC, our own requirement ids. */
  threats: readonly string[];
  control: string;
  /** The reason code that must stop it. */
  refusal: RegExp;
  controlOff: Switches | 'no-switch';
  /** Spoils its installation, or needs one without a runner: it gets one to itself. */
  alone?: true;
  /** What has to be there before: happens before the protected state is looked at. */
  prepare?(stage: Stage): Promise<unknown>;
  attack(stage: Stage): Promise<Attempt>;
  /** The same actor on the proper path; throws if that is refused. */
  legitimate(stage: Stage): Promise<string>;
}

export interface DrillResult {
  id: string;
  title: string;
  control: string;
  threats: readonly string[];
  ok: boolean;
  /** With every control on: stopped, with the expected reason. */
  refused: boolean;
  /** The reason given. */
  refusal: string;
  /** The same artifacts, refs, promotions and objects as before. */
  unchanged: boolean;
  /** With only that control off. Null: there is no switch for it, so it is unproven. */
  succeedsWithControlOff: boolean | null;
  legitimate: boolean;
  /** The first thing that is not as it should be; else what stopped it. */
  detail: string;
  seconds: number;
}
