import { type App, bindEndpoint } from '#http';
import { presentEnvironment, presentPromotion, releaseContract as contract, type Releases } from '#release';

/** Environments, promotions and approvals. */
export function bindRelease(app: App, { releases }: { releases: Releases }): void {
  bindEndpoint(app, contract.listEnvironments, async ({ caller, params }) => ({
    items: (await releases.environments(caller, params.project)).map(presentEnvironment),
    next: null,
  }));
  bindEndpoint(app, contract.showEnvironment, async ({ caller, params }) => {
    const environment = await releases.environment(caller, params.project, params.environment);
    const desired = await releases.desired(environment.id);
    return { ...presentEnvironment(environment), desired: desired.map(presentPromotion) };
  });
  bindEndpoint(app, contract.setPolicy, async ({ caller, params, body }) =>
    presentEnvironment(await releases.setPolicy(caller, params.project, params.environment, body)),
  );
  bindEndpoint(app, contract.requestPromotion, async ({ caller, params, body }) =>
    presentPromotion(await releases.requestPromotion(caller, { ...body, project: params.project })),
  );
  bindEndpoint(app, contract.listPromotions, async ({ caller, params, query }) => {
    const { items, next } = await releases.promotions(caller, { ...query, project: params.project });
    return { items: items.map(presentPromotion), next };
  });
  bindEndpoint(app, contract.showPromotion, async ({ caller, params }) =>
    presentPromotion(await releases.promotion(caller, params.promotion)),
  );
  bindEndpoint(app, contract.approvePromotion, async ({ caller, params, body }) =>
    presentPromotion(await releases.approve(caller, params.promotion, body.comment)),
  );
}
