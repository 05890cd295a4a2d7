//! What the declarations promise: an arrow cannot outlive its function. Each case is given to the
//! compiler, beside one that it must take.
#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

use std::path::{Path, PathBuf};
use std::process::Command;

const HEAD: &str = "#![allow(dead_code)]\nuse c4model::{element, flow, target, Sink, Source};\n\
    element! { pub Orders: Container { id: \"orders\", name: \"Orders\", summary: \"Orders\" } }\n\
    element! { pub Lake: Container { id: \"lake\", name: \"Lake\", summary: \"Tables\" } }\n";
const FLOW: &str = "flow! { copy_orders { moves: \"Orders\", tech: \"COPY\", kind: Sync, by: From, owner: \"shop\" } }\n";
const FUNCTION: &str =
    "fn copy_orders(_from: Source<Orders>, _to: Sink<Lake>) -> Result<(), ()> { Ok(()) }\n";

/// The library this test was linked with: the one that was built last.
fn library() -> (PathBuf, PathBuf) {
    let folder = std::env::current_exe().unwrap().parent().unwrap().to_path_buf();
    let is_ours = |path: &PathBuf| {
        let name = path.file_name().unwrap().to_string_lossy();
        name.starts_with("libc4model-") && name.ends_with(".rlib")
    };
    let paths = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
    let newest =
        paths.filter(is_ours).max_by_key(|path| path.metadata().unwrap().modified().unwrap());
    (folder, newest.unwrap())
}

/// What the compiler says to a crate of these pieces; nothing when it takes it.
fn refusal(name: &str, pieces: &[&str]) -> Option<String> {
    let (folder, library) = library();
    let source = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.rs"));
    std::fs::write(&source, format!("{HEAD}{}", pieces.concat())).unwrap();
    let compiled = Command::new("rustc")
        .args([
            "--edition",
            "2024",
            "--crate-type",
            "lib",
            "--emit",
            "metadata",
            "--crate-name",
            name,
        ])
        .arg("--extern")
        .arg(format!("c4model={}", library.display()))
        .arg("-L")
        .arg(format!("dependency={}", folder.display()))
        .arg("--out-dir")
        .arg(env!("CARGO_TARGET_TMPDIR"))
        .arg(&source)
        // What a crate calls itself among its declarations.
        .env("CARGO_PKG_NAME", name)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&compiled.stderr).into_owned();
    (!compiled.status.success()).then_some(said)
}

fn is_refused(name: &str, pieces: &[&str], code: &str) {
    assert_eq!(refusal(&format!("{name}_control"), &[FLOW, FUNCTION]), None, "the control");
    let said = refusal(name, pieces).unwrap_or_default();
    assert!(said.contains(&format!("error[{code}]")), "{said}");
}

#[test]
fn deleting_a_flow_function_does_not_compile() {
    is_refused("deleted", &[FLOW], "E0423");
}

#[test]
fn renaming_a_flow_function_does_not_compile() {
    is_refused("renamed", &[FLOW, &FUNCTION.replace("copy_orders", "copied")], "E0423");
}

#[test]
fn mistyping_an_endpoint_does_not_compile() {
    is_refused("mistyped", &[FLOW, &FUNCTION.replace("Sink<Lake>", "Sink<Laek>")], "E0425");
}

#[test]
fn an_endpoint_that_is_no_element_does_not_compile() {
    is_refused("no_element", &[FLOW, &FUNCTION.replace("Sink<Lake>", "Sink<String>")], "E0277");
}

#[test]
fn a_function_without_ends_does_not_compile() {
    is_refused("no_ends", &[FLOW, &FUNCTION.replace("Sink<Lake>", "String")], "E0277");
}

#[test]
fn code_for_a_target_flow_beside_it_does_not_compile() {
    let planned = "target! { copy_orders: Orders => Lake { moves: \"Orders\", tech: \"COPY\", by: To, owner: \"shop\" } }\n";
    is_refused("planned", &[planned, FLOW, FUNCTION], "E0428");
}
