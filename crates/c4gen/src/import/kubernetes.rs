//! Kubernetes: objects as they are applied, also in lists and in several documents. An element is a
//! workload, a service without a workload here, an ingress, or a host outside; a flow says who calls whom:
//! a container's environment names an address (by itself, through a ConfigMap, or through another
//! variable of it), an ingress names a service. Which way the data moves is not told. Secrets are not
//! read. Templates are rendered before (`kustomize build`, `helm template`).
//! Format: <https://kubernetes.io/docs/reference/kubernetes-api/>.

use std::collections::{BTreeMap, BTreeSet};

use c4model::{Kind, Shape};

use super::address::{Address, addresses, technology};
use super::document::{At, yaml};
use super::{Direction, Flow, Found, Origin, element, shape_of};
use crate::error::Error;

const WHAT: &str = "objects as they are applied: the output of `kustomize build`, `helm template` or `kubectl get -o yaml`";

struct Service<'text> {
    selector: BTreeMap<&'text str, &'text str>,
    at: At<'text>,
    outside: Option<String>,
}

struct Workload<'text> {
    id: String,
    namespace: &'text str,
    labels: BTreeMap<&'text str, &'text str>,
    /// The pod's specification.
    pod: At<'text>,
}

#[derive(Default)]
struct Cluster<'text> {
    workloads: Vec<Workload<'text>>,
    services: BTreeMap<(&'text str, &'text str), Service<'text>>,
    /// By `namespace/name`.
    settings: BTreeMap<String, BTreeMap<&'text str, &'text str>>,
    ingresses: Vec<(&'text str, &'text str, At<'text>)>,
}

pub(super) fn read(texts: &[(String, String)], found: &mut Found) -> Result<(), Error> {
    let mut documents = Vec::new();
    for (path, text) in texts {
        documents.extend(yaml(path, text, WHAT)?);
    }
    let mut cluster = Cluster::default();
    for document in &documents {
        object(&document.root(), &mut cluster, found)?;
    }
    for workload in &cluster.workloads {
        for place in ["initContainers", "containers"] {
            for container in workload.pod.items(place)? {
                calls_of(workload, &container, &cluster, found)?;
            }
        }
    }
    for (namespace, name, at) in &cluster.ingresses {
        ingress(namespace, name, at, &cluster, found)?;
    }
    Ok(())
}

fn object<'text>(
    at: &At<'text>,
    cluster: &mut Cluster<'text>,
    found: &mut Found,
) -> Result<(), Error> {
    let cure = format!("give {WHAT}");
    let kind = at.need_text("kind", &cure)?;
    if kind.ends_with("List") && at.get("items").is_some() {
        for item in at.items("items")? {
            object(&item, cluster, found)?;
        }
        return Ok(());
    }
    let metadata = match at.get("metadata") {
        Some(metadata) => metadata,
        None if kind == "Kustomization" => {
            return Err(at.fault("this is not an object but how to make some", &cure));
        }
        None => return Err(at.fault(&format!("the {kind} has no `metadata`"), &cure)),
    };
    if kind == "Kustomization" && at.get("resources").is_some() {
        return Err(at.fault("this is not an object but how to make some", &cure));
    }
    let name = metadata.need_text("name", &cure)?;
    let namespace = metadata.text("namespace")?.unwrap_or("default");
    let template = match kind {
        "Deployment" | "StatefulSet" | "DaemonSet" | "ReplicaSet" | "Job" => {
            Some(at.need("spec", &cure)?.need("template", &cure)?)
        }
        "CronJob" => {
            let job = at.need("spec", &cure)?.need("jobTemplate", &cure)?;
            Some(job.need("spec", &cure)?.need("template", &cure)?)
        }
        "Pod" => Some(at.clone()),
        _ => None,
    };
    if let Some(template) = template {
        if let Some(owner) = metadata.items("ownerReferences")?.first() {
            let owner = owner.text("kind")?.unwrap_or_default();
            found.leave_out(
                at,
                &format!("{kind} {namespace}/{name}"),
                &format!("a {owner} made it"),
            );
            return Ok(());
        }
        let pod = template.need("spec", &cure)?;
        let id = format!("kubernetes:workload/{namespace}/{name}");
        let image = pod.items("containers")?.first().map(|one| one.text("image")).transpose()?;
        let image = image.flatten().unwrap_or_default();
        let shape = shape_of(image_name(image));
        found.element(element(id.clone(), name, shape, image_name(image), at));
        let labels = match template.get("metadata") {
            None => BTreeMap::new(),
            Some(metadata) => texts_of(&metadata, "labels")?,
        };
        cluster.workloads.push(Workload { id, namespace, labels, pod });
        return Ok(());
    }
    match kind {
        "Service" => {
            let spec = at.need("spec", &cure)?;
            let outside = spec.text("externalName")?.map(str::to_lowercase);
            let selector = texts_of(&spec, "selector")?;
            let service = Service { selector, at: at.clone(), outside };
            cluster.services.insert((namespace, name), service);
        }
        "ConfigMap" => {
            cluster.settings.insert(format!("{namespace}/{name}"), texts_of(at, "data")?);
        }
        "Ingress" => cluster.ingresses.push((namespace, name, at.clone())),
        other => {
            let what = format!("{other} {namespace}/{name}");
            found.leave_out(at, &what, "an object of this kind tells of no flow");
        }
    }
    Ok(())
}

fn texts_of<'text>(at: &At<'text>, key: &str) -> Result<BTreeMap<&'text str, &'text str>, Error> {
    at.fields(key)?.into_iter().map(|(key, value)| Ok((key, value.as_text()?))).collect()
}

/// `registry/team/name:tag@digest` without registry, team, tag and digest.
pub(super) fn image_name(image: &str) -> &str {
    let image = image.split('@').next().unwrap_or(image);
    let last = image.rsplit('/').next().unwrap_or(image);
    last.split(':').next().unwrap_or(last)
}

/// The flows that the environment of a container tells of.
fn calls_of(
    workload: &Workload<'_>,
    container: &At<'_>,
    cluster: &Cluster<'_>,
    found: &mut Found,
) -> Result<(), Error> {
    let namespace = workload.namespace;
    let mut settings: BTreeMap<String, (String, At<'_>)> = BTreeMap::new();
    for from in container.items("envFrom")? {
        let prefix = from.text("prefix")?.unwrap_or_default();
        if from.get("secretRef").is_some() {
            found.leave_out(
                &from,
                &workload.id,
                "its environment is in a secret, which is not read",
            );
        }
        let Some(reference) = from.get("configMapRef") else { continue };
        for (key, value) in map_of(&reference, namespace, cluster, found)?.into_iter().flatten() {
            settings.insert(format!("{prefix}{key}"), ((*value).to_owned(), from.clone()));
        }
    }
    for variable in container.items("env")? {
        let name = variable.need_text("name", "every variable has a name")?.to_owned();
        if let Some(value) = variable.text("value")? {
            settings.insert(name, (value.to_owned(), variable));
            continue;
        }
        let Some(from) = variable.get("valueFrom") else { continue };
        if from.get("secretKeyRef").is_some() {
            let what = format!("{} {name}", workload.id);
            found.leave_out(&variable, &what, "its value is in a secret, which is not read");
        }
        let Some(reference) = from.get("configMapKeyRef") else { continue };
        let key = reference.need_text("key", "a reference names the key")?;
        if let Some(map) = map_of(&reference, namespace, cluster, found)? {
            match map.get(key) {
                Some(value) => {
                    settings.insert(name, ((*value).to_owned(), variable));
                }
                None if reference.flag("optional", false)? => {}
                None => {
                    let cure = "add the key, or mark the reference optional";
                    return Err(reference.fault(&format!("the ConfigMap has no `{key}`"), cure));
                }
            }
        }
    }
    for (name, (value, at)) in &settings {
        // $(OTHER) stands for another variable of the container.
        let mut expanded = value.clone();
        for (other, (text, _)) in &settings {
            expanded = expanded.replace(&format!("$({other})"), text);
        }
        for address in addresses(name, &expanded) {
            let Some(to) = target(&address, namespace, name, at, cluster, found) else { continue };
            found.flow(call(workload.id.clone(), to, &address.scheme, name, at));
        }
    }
    Ok(())
}

/// The settings of the ConfigMap that a reference names; none when it is not among the files.
fn map_of<'cluster, 'text>(
    reference: &At<'_>,
    namespace: &str,
    cluster: &'cluster Cluster<'text>,
    found: &mut Found,
) -> Result<Option<&'cluster BTreeMap<&'text str, &'text str>>, Error> {
    let name = reference.need_text("name", "a reference names the ConfigMap")?;
    let map = cluster.settings.get(&format!("{namespace}/{name}"));
    if map.is_none() {
        let what = format!("ConfigMap {namespace}/{name}");
        found.leave_out(
            reference,
            &what,
            "it is not among the files, so what it names is not known",
        );
    }
    Ok(map)
}

/// The element at an address: a workload behind a service of the cluster, or a host outside.
fn target(
    address: &Address,
    namespace: &str,
    setting: &str,
    at: &At<'_>,
    cluster: &Cluster<'_>,
    found: &mut Found,
) -> Option<String> {
    let host = address.host.trim_end_matches(".cluster.local").trim_end_matches(".svc");
    let within = match host.split('.').collect::<Vec<_>>().as_slice() {
        [name] => Some((namespace.to_owned(), (*name).to_owned())),
        [name, other]
            if cluster.services.contains_key(&(*other, *name)) || host != address.host =>
        {
            Some(((*other).to_owned(), (*name).to_owned()))
        }
        // A pod of a headless service: pod.service.namespace.svc.
        [_, name, other] if host != address.host => Some(((*other).to_owned(), (*name).to_owned())),
        _ => None,
    };
    match within {
        Some((namespace, name)) => {
            let known = cluster.services.contains_key(&(namespace.as_str(), name.as_str()));
            // A single word that is no service may be anything, unless it stands in an address.
            if !known && address.scheme.is_empty() && host == address.host {
                found.leave_out(
                    at,
                    setting,
                    "its value may be a host, and no service has this name",
                );
                return None;
            }
            Some(behind(&namespace, &name, at, cluster, found))
        }
        None => {
            let id = format!("kubernetes:host/{}", address.host);
            let tech = technology(&address.scheme);
            found.element(element(id.clone(), &address.host, shape_of(tech), tech, at));
            Some(id)
        }
    }
}

/// The element behind a service.
fn behind(
    namespace: &str,
    name: &str,
    at: &At<'_>,
    cluster: &Cluster<'_>,
    found: &mut Found,
) -> String {
    let Some(service) = cluster.services.get(&(namespace, name)) else {
        let id = format!("kubernetes:service/{namespace}/{name}");
        found.element(element(id.clone(), name, shape_of(name), "", at));
        return id;
    };
    if let Some(host) = &service.outside {
        let id = format!("kubernetes:host/{host}");
        found.element(element(id.clone(), host, shape_of(name), "", &service.at));
        return id;
    }
    let selected = cluster.workloads.iter().find(|workload| {
        workload.namespace == namespace
            && !service.selector.is_empty()
            && service.selector.iter().all(|(key, value)| workload.labels.get(key) == Some(value))
    });
    match selected {
        Some(workload) => workload.id.clone(),
        None => {
            let id = format!("kubernetes:service/{namespace}/{name}");
            found.element(element(id.clone(), name, shape_of(name), "", &service.at));
            id
        }
    }
}

fn call(from: String, to: String, scheme: &str, part: &str, at: &At<'_>) -> Flow {
    Flow {
        from,
        to,
        through: None,
        direction: Direction::Call,
        moves: "Requests".to_owned(),
        tech: technology(scheme).to_owned(),
        kind: Kind::Sync,
        cadence: String::new(),
        parts: BTreeSet::from([part.to_owned()]),
        origin: Origin::Kubernetes,
        evidence: vec![at.place()],
    }
}

fn ingress(
    namespace: &str,
    name: &str,
    at: &At<'_>,
    cluster: &Cluster<'_>,
    found: &mut Found,
) -> Result<(), Error> {
    let cure = "an ingress names a service for every path";
    let spec = at.need("spec", cure)?;
    let from = format!("kubernetes:ingress/{namespace}/{name}");
    found.element(element(from.clone(), name, Shape::Service, "Ingress", at));
    let mut backends = Vec::new();
    if let Some(default) = spec.get("defaultBackend") {
        backends.push(("every other host".to_owned(), default));
    }
    for rule in spec.items("rules")? {
        let host = rule.text("host")?.unwrap_or("every host");
        let Some(http) = rule.get("http") else { continue };
        for path in http.items("paths")? {
            let part = format!("{host}{}", path.text("path")?.unwrap_or("/"));
            backends.push((part, path.need("backend", cure)?));
        }
    }
    for (part, backend) in backends {
        match backend.get("service") {
            Some(service) => {
                let to =
                    behind(namespace, service.need_text("name", cure)?, &service, cluster, found);
                found.flow(call(from.clone(), to, "http", &part, &service));
            }
            None => found.leave_out(&backend, &part, "the backend is no service"),
        }
    }
    Ok(())
}
