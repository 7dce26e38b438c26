import type { Controls } from '#server';
import type { House } from './house.ts';

/** What an attack came to. `code`: the reason the platform gave, if it refused. */
export interface Attempt {
  succeeded: boolean;
  code?: string;
  detail: string;
}

/**
 * One attack, re-enacted. It runs twice, each time on a throw-away installation: with every control on it must be refused with
 * `refusal`, and with only `controlOff` switched off it must succeed; otherwise the control is unproven. Beside it the legitimate
 * flow runs, so that refusing everything does not pass.
 */
export interface Drill {
  id: string;
  title: string;
  /** What it belongs to: SLSA threats, CICD-SEC, our own requirement ids. */
  threats: readonly string[];
  control: string;
  /** The reason code that must stop it. */
  refusal: RegExp;
  controlOff: Controls | 'no-switch';
  /** Needs a runner process. */
  builds?: boolean;
  attack(house: House): Promise<Attempt>;
  /** The same actor on the proper path; throws if that is refused. */
  legitimate(house: House): Promise<string>;
}

export interface DrillResult {
  id: string;
  title: string;
  control: string;
  threats: readonly string[];
  ok: boolean;
  /** With every control on. */
  refused: boolean;
  refusal: string;
  /** With only that control off. Null: the control has no switch; see `unproven`. */
  succeedsWithControlOff: boolean | null;
  legitimate: boolean;
  detail: string;
  seconds: number;
}
