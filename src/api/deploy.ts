import { deployContract as contract, type Deployments, presentDeployment, presentTarget } from '#deploy';
import { type App, bindEndpoint } from '#http';

/** Targets, what they are to run, and what their agents say they run. */
export function bindDeploy(app: App, { deployments }: { deployments: Deployments }): void {
  bindEndpoint(app, contract.createTarget, async ({ caller, params, body }) =>
    presentTarget(await deployments.createTarget(caller, { ...params, ...body })),
  );
  bindEndpoint(app, contract.listTargets, async ({ caller, params }) => ({
    items: (await deployments.targets(caller, params.project, params.environment)).map(presentTarget),
    next: null,
  }));
  bindEndpoint(app, contract.requestDeploy, ({ caller, params, body }) =>
    deployments.requestDeploy(caller, { ...params, ...body }),
  );
  bindEndpoint(app, contract.listDeployments, async ({ caller, params, query }) => {
    const { items, next } = await deployments.deployments(caller, { ...query, project: params.project });
    return { items: items.map(presentDeployment), next };
  });
  bindEndpoint(app, contract.showPlan, ({ caller, params }) => deployments.plan(caller, params.target));
  bindEndpoint(app, contract.reportDeployment, ({ caller, params, body }) =>
    deployments.report(caller, params.target, body),
  );
}
