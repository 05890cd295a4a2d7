//! A private certificate authority, by the `openssl` command.

use std::path::{Path, PathBuf};

use ol_testkit::Step;

/// What `openssl ca` wants to know and no flag says.
const SETTINGS: &str = "
[ca]
default_ca = authority
[authority]
database = index.txt
rand_serial = yes
new_certs_dir = .
default_md = sha256
policy = policy
unique_subject = no
[policy]
commonName = supplied
[localhost]
subjectAltName = DNS:localhost, IP:127.0.0.1, IP:::1
extendedKeyUsage = serverAuth
[elsewhere]
subjectAltName = DNS:elsewhere.example.org, IP:127.0.0.9
extendedKeyUsage = serverAuth
[client]
extendedKeyUsage = clientAuth
";

/// An authority that nobody but a test believes.
pub(super) struct Authority {
    folder: tempfile::TempDir,
}

impl Authority {
    pub(super) fn new() -> Self {
        let authority = Self { folder: tempfile::tempdir().unwrap() };
        authority.write("settings.cnf", SETTINGS);
        authority.write("index.txt", "");
        authority.openssl(
            "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key -out ca.pem \
             -subj /CN=authority -days 2 -addext keyUsage=critical,keyCertSign",
        );
        authority
    }

    /// Its own certificate.
    pub(super) fn file(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// A certificate and its key in one file, for a section of the settings; valid for two days from now.
    pub(super) fn issue(&self, section: &str) -> PathBuf {
        self.sign(section, "-days 2")
    }

    /// One that was valid until January 2021.
    pub(super) fn issue_expired(&self, section: &str) -> PathBuf {
        self.sign(section, "-startdate 20200101000000Z -enddate 20210101000000Z")
    }

    fn sign(&self, section: &str, validity: &str) -> PathBuf {
        self.openssl(&format!(
            "req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout leaf.key -out leaf.csr \
             -subj /CN={section}-of-test"
        ));
        self.openssl(&format!(
            "ca -batch -notext -config settings.cnf -cert ca.pem -keyfile ca.key \
             -in leaf.csr -out leaf.pem -extensions {section} {validity}"
        ));
        let pem = self.read("leaf.pem") + &self.read("leaf.key");
        self.write(&format!("{section}.pem"), &pem)
    }

    fn openssl(&self, arguments: &str) {
        Step::new(Path::new("openssl"))
            .args(arguments.split_whitespace())
            .folder(self.folder.path())
            .run()
            .expect_code(0);
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.folder.path().join(name)).unwrap()
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }
}
