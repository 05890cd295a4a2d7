//! Where in the landing zone the archive of a source lies.
//!
//! MIT Learn takes `content_path` as the key of an object, letter for letter, and only a background task of its own
//! finds out that there is no such object. So a path that cannot be right is refused here.
//!
//! # The slash in front of paths of `mit_edx`
//! Today's sender cuts the path down to `edxorg/…` and puts a slash in front. No object has such a key: in production
//! archives of edx.org lie below `edxorg-raw-data/`, and MIT Learn removes neither slash nor adds a folder. Its task
//! fails, and the archive is found by its next listing of the bucket instead. The path is still accepted with a
//! warning, because during a cutover the bodies of both senders are compared; the key that works is accepted without.

use super::identity::normalised;
use super::problem::Problems;

/// The longest key that MIT Learn can remember, in characters.
const LONGEST_PATH_CHARACTERS: usize = 512;

/// Checks the path of an archive, with the id of its course or run when there is one.
pub(super) fn check(source: &str, path: &str, id: Option<&str>, problems: &mut Problems) {
    const FIELD: &str = "content_path";
    general(source, path, problems);
    match source {
        "canvas" => {
            below(&["canvas/course_content/"], path, problems);
            if !path.ends_with(".imscc") {
                problems.refuse(FIELD, "Must end with .imscc, the form of a Canvas export");
            }
            let folder =
                path.strip_prefix("canvas/course_content/").and_then(|rest| rest.split_once('/'));
            if let (Some((folder, _)), Some(id)) = (folder, id)
                && folder != id
            {
                problems.refuse(
                    FIELD,
                    "Must lie in the folder of course_id, from which MIT Learn takes the id",
                );
            }
        }
        "mitxonline" | "xpro" => {
            below(&[&format!("{source}/openedx/raw_data/course_xml/")], path, problems);
            archive(path, problems);
            if id.is_some_and(|id| folder(path) != Some(id)) {
                problems.warn(FIELD, FOLDER_DIFFERS);
            }
        }
        "mit_edx" => {
            const FOLDER: &str = "edxorg/raw_data/course_xml/";
            let key = path.strip_prefix('/').unwrap_or(path);
            let (bucket_folder, inner) = match key.strip_prefix("edxorg-raw-data/") {
                Some(inner) => ("edxorg-raw-data/", inner),
                None => ("", key),
            };
            if !inner.starts_with(FOLDER) {
                problems
                    .refuse(FIELD, "Must begin with edxorg-raw-data/edxorg/raw_data/course_xml/");
            } else if path.starts_with('/') {
                problems.warn(
                    FIELD,
                    "Begins with a slash, as today's sender writes it; no object of the \
                     landing zone has such a key",
                );
            } else if bucket_folder.is_empty() {
                problems.warn(
                    FIELD,
                    "Must begin with edxorg-raw-data/ where the landing zone is that of \
                     production",
                );
            }
            archive(path, problems);
            if inner.strip_prefix(FOLDER).is_some_and(|rest| rest.starts_with("edge/")) {
                problems.warn(
                    FIELD,
                    "Is an archive of edge.edx.org; it replaces the content of the run with \
                     this id on edx.org",
                );
            }
            let normal = |id: &str| normalised(id, &['-', '+']);
            if id.is_some_and(|id| folder(path).map(normal) != Some(normal(id))) {
                problems.warn(FIELD, FOLDER_DIFFERS);
            }
        }
        "oll" => {
            below(&["open-learning-library/courses/"], path, problems);
            archive(path, problems);
        }
        _ => problems.warn(
            "source",
            "MIT Learn has no folder of course archives for this source; it may drop \
             the archive",
        ),
    }
}

const FOLDER_DIFFERS: &str = "The folder is not that of the run; the listing of MIT Learn goes by the \
                              folder and will load the archive into another run";

fn general(source: &str, path: &str, problems: &mut Problems) {
    const FIELD: &str = "content_path";
    if path.starts_with('/') && source != "mit_edx" {
        problems.refuse(FIELD, "Must not begin with a slash: it is the key of an object");
    }
    if path.contains("://") {
        problems.refuse(FIELD, "Must be a key, without scheme and bucket");
    }
    if path.chars().any(char::is_control) || path.trim() != path {
        problems.refuse(FIELD, "Must not hold control characters or blanks at its ends");
    }
    let key = path.strip_prefix('/').unwrap_or(path);
    if key.split('/').any(|part| matches!(part, "" | "." | "..")) {
        problems.refuse(FIELD, "Must not hold empty folders, . or ..");
    }
    if path.chars().count() > LONGEST_PATH_CHARACTERS {
        problems.refuse(FIELD, "Must not be longer than 512 characters");
    }
}

fn below(folders: &[&str], path: &str, problems: &mut Problems) {
    if !folders.iter().any(|folder| path.starts_with(folder)) {
        problems.refuse("content_path", format!("Must begin with {}", folders.join(" or ")));
    }
}

fn archive(path: &str, problems: &mut Problems) {
    if !path.ends_with(".tar.gz") {
        problems.refuse("content_path", "Must end with .tar.gz, the form of an Open edX export");
    }
}

fn folder(path: &str) -> Option<&str> {
    path.rsplit('/').nth(1)
}

#[cfg(test)]
mod tests {
    use super::super::problem::{Problem, Severity};
    use super::*;

    fn found(source: &str, path: &str, id: Option<&str>) -> Vec<Problem> {
        let mut problems = Problems::default();
        check(source, path, id, &mut problems);
        problems.verdict().unwrap_or_else(|all| all)
    }

    fn is_refused(source: &str, path: &str) -> bool {
        found(source, path, None).iter().any(|problem| problem.severity == Severity::Refusal)
    }

    #[test]
    fn paths_of_todays_senders() {
        for (source, path, id) in [
            ("canvas", "canvas/course_content/123/abc.imscc", "123"),
            (
                "mitxonline",
                "mitxonline/openedx/raw_data/course_xml/course-v1:MITx+6.00+1T/h.xml.tar.gz",
                "course-v1:MITx+6.00+1T",
            ),
            (
                "xpro",
                "xpro/openedx/raw_data/course_xml/course-v1:xPRO+A+R1/h.xml.tar.gz",
                "course-v1:xPRO+A+R1",
            ),
            (
                "mit_edx",
                "edxorg-raw-data/edxorg/raw_data/course_xml/prod/MITx-6.00x-1T/h.xml.tar.gz",
                "course-v1:MITx+6.00x+1T",
            ),
            ("oll", "open-learning-library/courses/course-v1:OLL+T+R_OLL.tar.gz", "x"),
        ] {
            assert_eq!(found(source, path, Some(id)), [], "{path}");
        }
    }

    #[test]
    fn the_slash_of_mit_edx_is_a_warning_and_any_other_a_refusal() {
        let todays = "/edxorg/raw_data/course_xml/prod/MITx-6.00x-1T/h.xml.tar.gz";
        let problems = found("mit_edx", todays, Some("MITx-6.00x-1T"));
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert!(problems.iter().all(|problem| problem.severity == Severity::Warning));
        let short =
            found("mit_edx", "edxorg/raw_data/course_xml/prod/MITx-6.00x-1T/h.xml.tar.gz", None);
        assert_eq!(short.len(), 1, "{short:?}");
        assert!(is_refused("mit_edx", "//edxorg/raw_data/course_xml/prod/a/h.xml.tar.gz"));
        assert!(is_refused("xpro", "/xpro/openedx/raw_data/course_xml/a/h.xml.tar.gz"));
        assert!(is_refused("canvas", "/canvas/course_content/123/abc.imscc"));
    }

    #[test]
    fn an_archive_of_edge_or_of_another_folder_is_a_warning() {
        let edge = "edxorg-raw-data/edxorg/raw_data/course_xml/edge/MITx-6.00x-1T/h.xml.tar.gz";
        assert_eq!(found("mit_edx", edge, Some("MITx-6.00x-1T")).len(), 1);
        let path = "xpro/openedx/raw_data/course_xml/course-v1:xPRO+A+R1/h.xml.tar.gz";
        assert_eq!(found("xpro", path, Some("course-v1:xPRO+A+R2")).len(), 1);
        assert_eq!(found("podcast", "podcast/a.tar.gz", None).len(), 1);
    }

    #[test]
    fn paths_that_cannot_be_right() {
        for (source, path) in [
            ("canvas", "canvas/course_content/123/abc.zip"),
            ("canvas", "canvas/course_content/124/../123/abc.imscc"),
            ("canvas", "s3://bucket/canvas/course_content/123/abc.imscc"),
            ("canvas", "canvas/course_content/123/abc\n.imscc"),
            ("canvas", "mitxonline/openedx/raw_data/course_xml/a/h.xml.tar.gz"),
            ("mitxonline", "xpro/openedx/raw_data/course_xml/a/h.xml.tar.gz"),
            ("mitxonline", "mitxonline/openedx/raw_data/course_xml/a/h.xml"),
            ("mitxonline", "mitxonline/openedx/raw_data/course_xml//h.xml.tar.gz"),
            ("mitxonline", " mitxonline/openedx/raw_data/course_xml/a/h.xml.tar.gz"),
            ("mit_edx", "edxorg/raw_data/db_table/a/h.xml.tar.gz"),
            ("oll", "oll/courses/a.tar.gz"),
            ("ocw", "../a"),
        ] {
            assert!(is_refused(source, path), "{source} {path:?}");
        }
        let folder = |id| found("canvas", "canvas/course_content/123/abc.imscc", Some(id));
        assert_eq!(folder("124").len(), 1);
        assert!(is_refused(
            "oll",
            &format!("open-learning-library/courses/{}.tar.gz", "a".repeat(500))
        ));
    }
}
