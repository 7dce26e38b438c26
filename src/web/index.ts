/**
 * web: pages for people.
 * Guarantees: everything shown comes from the modules' own queries under the visitor's own rights; text is never markup;
 * no script, style or request from elsewhere, none inline; forms are taken from our own pages only; nothing is called
 * verified unless it was checked for that very page; every page works without script, but for the live log.
 */
import type { App } from '#http';
import type { Traces } from '#trace';
import { type ArtifactDeps, registerArtifact } from './artifact.ts';
import { type BuildDeps, registerBuild } from './build.ts';
import { registerLedger } from './ledger.ts';
import { type OverviewDeps, registerOverview } from './overview.ts';
import { type ProjectDeps, registerProject } from './project.ts';
import { registerRelease, type ReleaseDeps } from './release.ts';
import { registerSignIn } from './sign-in.ts';
import { openSite } from './site.ts';
import { registerSource } from './source.ts';
import { registerTrace } from './trace.ts';

export { CONTENT_SECURITY_POLICY } from './layout.ts';

export type WebDeps = ArtifactDeps & BuildDeps & OverviewDeps & ProjectDeps & ReleaseDeps & { traces: Traces };

/** Registers every page under `/`. The API lives below `/api` and git below `/<project>/<repository>.git`. */
export function registerPages(app: App, deps: WebDeps): void {
  openSite(app, deps, (site) => {
    registerSignIn(site, deps);
    registerOverview(site, deps);
    registerProject(site, deps);
    registerSource(site, deps);
    registerBuild(site, deps);
    registerArtifact(site, deps);
    registerRelease(site, deps);
    registerLedger(site, deps);
    registerTrace(site, deps);
  });
}
