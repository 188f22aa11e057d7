//! Files that configurations of documents name, and dbproxy's judgement of them.

use super::papers::read;
use crate::support::proxy::dbproxy;
use crate::support::sandbox::root;
use dbproxy::platform::wire::scram::Verifier;
use rcgen::{CertificateParams, KeyPair};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

/// What configurations of documents speak of, in the place of `/etc/dbproxy` and `/run/secrets`.
pub struct House(PathBuf);

impl House {
    pub fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("papers-{}-{number}", std::process::id());
        let house = Self(PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name));
        std::fs::create_dir_all(house.0.join("policies")).unwrap();
        for entry in std::fs::read_dir(root().join("policies")).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "cedar") {
                let copy = house.0.join("policies").join(path.file_name().unwrap());
                std::fs::copy(&path, copy).unwrap();
            }
        }
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(["broker.example".to_owned()]).unwrap();
        let certificate = params.self_signed(&key).unwrap().pem();
        house.write("tls.crt", &certificate);
        house.write("clients-ca.pem", &certificate);
        house.write("tls.key", &key.serialize_pem());
        let verifier = Verifier::of_password(b"secret", b"salt of sixteen.", 4096).unwrap();
        house.write(
            "verifiers",
            &format!("\"dashboard\" \"{}\"\n", &*verifier.to_text()),
        );
        house.write("dbproxy-peers", &format!("{}\n", "0123456789abcdef".repeat(4)));
        house
    }

    /// What a configuration may name as its access manifest.
    pub fn with_manifest(self, text: &str) -> Self {
        self.write("policies/access.toml", text);
        self
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    /// Whether dbproxy takes this configuration, and what it says.
    pub fn ls(&self, configuration: &str) -> (bool, String) {
        let here = self.0.to_str().unwrap();
        let text = configuration
            .replace("/etc/dbproxy", here)
            .replace("/run/secrets", here);
        let path = self.write("dbproxy.toml", &text);
        let output = dbproxy(&[]).args(["ls", "--config"]).arg(path).output().unwrap();
        let told = [output.stdout, output.stderr].concat();
        (
            output.status.success(),
            String::from_utf8_lossy(&told).into_owned(),
        )
    }

    /// What `policy check --strict` says to these policies, with the catalog of the shipped ones.
    pub fn check(&self, cedar: &str) -> (bool, String) {
        std::fs::remove_dir_all(self.0.join("policies")).unwrap();
        std::fs::create_dir(self.0.join("policies")).unwrap();
        self.write("policies/all.cedar", cedar);
        let dir = format!("{:?}", self.0.join("policies").to_str().unwrap());
        let catalog = read("policies/dbproxy.toml").replace("\"policies\"", &dir);
        let path = self.write("dbproxy.toml", &catalog);
        let mut command = dbproxy(&[]);
        command
            .args(["policy", "check", "--strict", "--config"])
            .arg(path);
        let output = command.output().unwrap();
        let told = [output.stdout, output.stderr].concat();
        (
            output.status.success(),
            String::from_utf8_lossy(&told).into_owned(),
        )
    }
}

impl Drop for House {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
