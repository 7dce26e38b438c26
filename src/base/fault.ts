const wanted = process.env['WAYBILL_FAULT_POINT'];
const wantedHit = Number(process.env['WAYBILL_FAULT_HIT'] ?? '1');
const hits = new Map<string, number>();

/**
 * A named instant of the main job at which a drill or a crash test may end the process as a power cut would
 * (SIGKILL: no handler runs, nothing is flushed). Whoever can set this process's environment can end it anyway.
 */
export function faultPoint(name: string): void {
  if (wanted !== name) return;
  const hit = (hits.get(name) ?? 0) + 1;
  hits.set(name, hit);
  if (hit === wantedHit) process.kill(process.pid, 'SIGKILL');
}
