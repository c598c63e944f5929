/* Checks every manifest under deploy/kubernetes against the schemas of the Kubernetes API (and of KEDA
 * and the Prometheus operator), after each overlay's patches are applied as kustomize applies them, and
 * the promises that no schema knows: labels that select each other, ports that exist, a grace period
 * longer than the drain. Prints one line a fault and 'N passed, N failed'.
 *
 * usage: node manifests.mjs FOLDER   (FOLDER holds base, overlays and jobs)
 */
import { createHash } from "node:crypto";
import { readFileSync, readdirSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import jsonpatch from "fast-json-patch";
import { load, loadAll } from "js-yaml";

const root = process.argv[2];
const unknownKinds = new Set(["MPIJob"]); // no package carries its schema; its pods are checked
let passed = 0;
let failed = 0;

function check(what, good, detail = "") {
  if (good) return void passed++;
  failed++;
  console.log(`FAILED ${what} ${detail}`);
}

const readAll = (path) => loadAll(readFileSync(path, "utf8")).filter(Boolean);

async function modelOf({ apiVersion, kind }) {
  const packages = {
    "monitoring.coreos.com/v1": "@kubernetes-models/prometheus-operator/",
    "keda.sh/v1alpha1": "@kubernetes-models/keda/",
  };
  const group = apiVersion.replace("k8s.io/api/", "");
  const module = await import(`${packages[apiVersion] ?? "kubernetes-models/"}${group}/${kind}`);
  return module[kind];
}

async function validate(label, object) {
  if (unknownKinds.has(object.kind)) {
    for (const [role, { template }] of Object.entries(object.spec.mpiReplicaSpecs))
      await validate(`${label} ${role}`, { apiVersion: "v1", kind: "Pod", metadata: {}, spec: template.spec });
    return;
  }
  try {
    const Model = await modelOf(object);
    new Model(object).validate();
    check(label, true);
  } catch (error) {
    check(label, false, error.message);
  }
}

/* What `kustomize build` does with the few features that the overlays use. */
function build(folder) {
  const kustomization = load(readFileSync(join(folder, "kustomization.yaml"), "utf8"));
  let objects = [];
  for (const name of kustomization.resources)
    objects.push(...(name.endsWith(".yaml") ? readAll(join(folder, name)) : build(join(folder, name))));
  for (const { name, files } of kustomization.configMapGenerator ?? []) {
    const data = Object.fromEntries(files.map((file) => [file, readFileSync(join(folder, file), "utf8")]));
    const hash = createHash("sha256").update(JSON.stringify(data)).digest("hex").slice(0, 10);
    objects.push({ apiVersion: "v1", kind: "ConfigMap", metadata: { name: `${name}-${hash}` }, data });
    for (const volume of objects.find((object) => object.kind === "Deployment").spec.template.spec.volumes)
      if (volume.configMap?.name === name) volume.configMap.name = `${name}-${hash}`;
  }
  for (const { patch, target } of kustomization.patches ?? []) {
    const change = load(patch);
    const wanted = target ?? { kind: change.kind, name: change.metadata.name };
    const index = objects.findIndex((o) => o.kind === wanted.kind && o.metadata.name === wanted.name);
    check(`${folder}: a patch finds ${wanted.kind} ${wanted.name}`, index >= 0);
    if (Array.isArray(change)) jsonpatch.applyPatch(objects[index], change, true);
    else if (change.$patch === "delete") objects.splice(index, 1);
    else throw new Error(`${folder}: a form of patch that this check does not know`);
  }
  return objects;
}

const seconds = (text) => {
  const [, number, unit] = /^([\d.]+)(ms|s|m|h)?$/.exec(text);
  return Number(number) * { ms: 0.001, s: 1, m: 60, h: 3600 }[unit ?? "s"];
};

function checkPromises(label, objects) {
  const of = (kind) => objects.find((object) => object.kind === kind);
  const pod = of("Deployment").spec.template;
  const container = pod.spec.containers[0];
  const ports = new Set(container.ports.map((port) => port.name));
  const selects = (selector) =>
    Object.entries(selector).every(([name, value]) => pod.metadata.labels[name] === value);
  const mounted = pod.spec.volumes.filter((volume) => volume.configMap).map((volume) => volume.configMap.name);
  check(`${label}: a changed configuration rolls the pods`, mounted.length && mounted.every((name) =>
    objects.some((o) => o.kind === "ConfigMap" && o.metadata.name === name && /-[0-9a-f]{10}$/.test(name))), mounted);
  check(`${label}: the Deployment selects its pods`, selects(of("Deployment").spec.selector.matchLabels));
  check(`${label}: the Service selects the pods`, selects(of("Service").spec.selector));
  check(`${label}: the budget selects the pods`, selects(of("PodDisruptionBudget").spec.selector.matchLabels));
  check(`${label}: the network policy selects the pods`, selects(of("NetworkPolicy").spec.podSelector.matchLabels));
  for (const port of of("Service").spec.ports)
    check(`${label}: Service port ${port.name} is a port of the pod`, ports.has(port.targetPort));
  for (const name of ["startupProbe", "livenessProbe", "readinessProbe"])
    check(`${label}: ${name} asks the admin port`, container[name].httpGet.port === "admin");
  const settings = JSON.parse(of("ConfigMap").data["vqct.json"]);
  const preStop = container.lifecycle.preStop.sleep.seconds;
  const drain = preStop + seconds(settings["drain-delay"]) + seconds(settings["drain-timeout"]);
  check(`${label}: the grace period outlasts the drain of ${drain} s`,
        pod.spec.terminationGracePeriodSeconds > drain);
  checkRestricted(label, pod.spec);
}

/* The "restricted" pod security standard. */
function checkRestricted(label, spec) {
  check(`${label}: runs as non-root`, spec.securityContext.runAsNonRoot && spec.securityContext.runAsUser > 0);
  check(`${label}: has a seccomp profile`, spec.securityContext.seccompProfile.type === "RuntimeDefault");
  for (const { name, securityContext, resources } of [...(spec.initContainers ?? []), ...spec.containers]) {
    check(`${label}: ${name} drops all capabilities`, securityContext.capabilities.drop.includes("ALL"));
    check(`${label}: ${name} cannot gain privileges`, securityContext.allowPrivilegeEscalation === false);
    check(`${label}: ${name} has a read-only root`, securityContext.readOnlyRootFilesystem === true);
    check(`${label}: ${name} has limits`, resources.limits.cpu && resources.limits.memory);
  }
}

for (const overlay of ["base", ...readdirSync(join(root, "overlays")).map((name) => `overlays/${name}`)]) {
  const objects = build(join(root, overlay));
  for (const object of objects) await validate(`${overlay}: ${object.kind} ${object.metadata.name}`, object);
  checkPromises(overlay, objects);
}
await validate("base: Secret example", readAll(join(root, "base/secret-keys.example.yaml"))[0]);
for (const name of readdirSync(join(root, "jobs")))
  for (const object of readAll(join(root, "jobs", name))) {
    await validate(`jobs/${name}: ${object.kind} ${object.metadata.name}`, object);
    if (object.kind === "Job") checkRestricted(`jobs/${name}`, object.spec.template.spec);
  }
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed ? 1 : 0);
