//! docker-compose: an element is a service; a flow says who calls whom: by `depends_on` and `links`
//! in their short and long forms, `external_links`, and addresses of other services in `environment`.
//! Which way the data moves is not told. Several files are one project, the later ones by name adding to
//! the earlier; a variable of the shell counts with its default.
//! Format: <https://github.com/compose-spec/compose-spec/blob/main/spec.md>.

use std::collections::{BTreeMap, BTreeSet};

use c4model::Kind;

use super::address::{addresses, technology};
use super::document::{At, yaml};
use super::kubernetes::image_name;
use super::{Direction, Flow, Found, Origin, element, shape_of};
use crate::error::Error;

const WHAT: &str = "files of docker-compose, with a map of `services`";

pub(super) fn read(texts: &[(String, String)], found: &mut Found) -> Result<(), Error> {
    let mut documents = Vec::new();
    for (path, text) in texts {
        documents.extend(yaml(path, text, WHAT)?);
    }
    let mut services: BTreeMap<&str, Vec<At<'_>>> = BTreeMap::new();
    for document in &documents {
        let root = document.root();
        for include in root.items("include")? {
            found.leave_out(&include, "include", "the included file is not read; give it, too");
        }
        let listed = root.get("services");
        if listed.is_none() && root.get("include").is_none() {
            return Err(root.fault("there are no `services`", &format!("give {WHAT}")));
        }
        for (name, service) in listed.map_or_else(|| Ok(Vec::new()), |at| at.as_fields())? {
            services.entry(name).or_default().push(service);
        }
    }
    for (name, parts) in &services {
        for service in parts {
            let image = service.text("image")?.map(|image| image_name(image).to_owned());
            let image = image.unwrap_or_default();
            found.element(element(id_of(name), name, shape_of(&image), &image, service));
        }
    }
    for (name, parts) in &services {
        for service in parts {
            calls_of(name, service, &services, found)?;
        }
    }
    Ok(())
}

fn id_of(name: &str) -> String {
    format!("compose:service/{name}")
}

fn calls_of(
    name: &str,
    service: &At<'_>,
    services: &BTreeMap<&str, Vec<At<'_>>>,
    found: &mut Found,
) -> Result<(), Error> {
    let mut call = |to: String, tech: &str, part: &str, at: &At<'_>| {
        found.flow(Flow {
            from: id_of(name),
            to,
            through: None,
            direction: Direction::Call,
            moves: "Requests".to_owned(),
            tech: tech.to_owned(),
            kind: Kind::Sync,
            cadence: String::new(),
            parts: BTreeSet::from([part.to_owned()]),
            origin: Origin::Compose,
            evidence: vec![at.place()],
        });
    };
    let known = |other: &str, at: &At<'_>| {
        if services.contains_key(other) {
            return Ok(id_of(other));
        }
        let cure = "give every file of the project, or correct the name";
        Err(at.fault(&format!("`{name}` names the service `{other}`, which is not there"), cure))
    };
    // What answers to a name here: a service, or the alias of a link.
    let mut names: BTreeMap<String, String> =
        services.keys().map(|other| ((*other).to_owned(), id_of(other))).collect();
    if let Some(depends) = service.get("depends_on") {
        if depends.value.is_array() {
            for at in depends.as_items()? {
                call(known(at.as_text()?, &at)?, "", "depends_on", &at);
            }
        } else {
            for (other, at) in depends.as_fields()? {
                if at.flag("required", true)? || services.contains_key(other) {
                    call(known(other, &at)?, "", "depends_on", &at);
                }
            }
        }
    }
    for at in service.items("links")? {
        let (other, alias) = halves(at.as_text()?);
        let to = known(other, &at)?;
        names.insert(alias.to_owned(), to.clone());
        call(to, "", "links", &at);
    }
    let mut outside = Vec::new();
    for at in service.items("external_links")? {
        let (other, alias) = halves(at.as_text()?);
        let id = format!("compose:container/{other}");
        names.insert(alias.to_owned(), id.clone());
        call(id.clone(), "", "external_links", &at);
        outside.push(element(id, other, shape_of(other), "", &at));
    }
    for (setting, value, at) in environment(service)? {
        for address in addresses(&setting, &with_defaults(&value)) {
            if let Some(to) = names.get(&address.host) {
                call(to.clone(), technology(&address.scheme), &setting, &at);
            } else if !address.scheme.is_empty() && address.host.contains('.') {
                let id = format!("compose:host/{}", address.host);
                let tech = technology(&address.scheme);
                call(id.clone(), tech, &setting, &at);
                outside.push(element(id, &address.host, shape_of(tech), tech, &at));
            }
        }
    }
    outside.into_iter().for_each(|one| found.element(one));
    for key in ["env_file", "extends"] {
        if let Some(at) = service.get(key) {
            found.leave_out(&at, name, &format!("what `{key}` adds is not read"));
        }
    }
    Ok(())
}

/// `service:alias`, or both at once.
fn halves(link: &str) -> (&str, &str) {
    link.split_once(':').unwrap_or((link, link))
}

/// The variables, from a map or from a list of `NAME=value`; one without a value comes from the shell.
fn environment<'text>(service: &At<'text>) -> Result<Vec<(String, String, At<'text>)>, Error> {
    let Some(environment) = service.get("environment") else { return Ok(Vec::new()) };
    if environment.value.is_array() {
        let mut variables = Vec::new();
        for at in environment.as_items()? {
            if let Some((name, value)) = at.as_text()?.split_once('=') {
                variables.push((name.to_owned(), value.to_owned(), at));
            }
        }
        return Ok(variables);
    }
    let fields = environment.as_fields()?.into_iter();
    Ok(fields
        .filter_map(|(name, at)| Some((name.to_owned(), at.value.as_str()?.to_owned(), at)))
        .collect())
}

/// `${NAME:-default}` and `${NAME-default}` as their default; other variables stay, and are no hosts.
fn with_defaults(value: &str) -> String {
    let mut text = String::new();
    let mut rest = value;
    while let Some((before, after)) = rest.split_once("${") {
        text.push_str(before);
        let Some((inside, onward)) = after.split_once('}') else { break };
        match inside.split_once(":-").or_else(|| inside.split_once('-')) {
            Some((_, default)) => text.push_str(default),
            None => text.push_str("${}"),
        }
        rest = onward;
    }
    text.push_str(rest);
    text
}

#[cfg(test)]
mod tests {
    use super::with_defaults;

    #[test]
    fn a_variable_counts_with_its_default() {
        assert_eq!(with_defaults("http://${HOST:-web}:${PORT-80}/"), "http://web:80/");
        assert_eq!(with_defaults("http://${HOST}/"), "http://${}/");
        assert_eq!(with_defaults("${BROKEN"), "${BROKEN");
    }
}
