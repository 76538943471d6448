//! A certificate authority made on the spot, which signs identities of workloads as a mesh does.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::hosts::postgres::output_of;

/// The authority, with all it has signed; gone when dropped.
#[derive(Debug)]
pub struct Authority {
    directory: tempfile::TempDir,
}

/// Certificate and key of one workload.
#[derive(Debug, Clone)]
pub struct Identity {
    /// PEM.
    pub certificate: PathBuf,
    /// PEM.
    pub key: PathBuf,
}

impl Default for Authority {
    fn default() -> Self {
        Self::new()
    }
}

impl Authority {
    /// A new one.
    #[track_caller]
    pub fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory can be made");
        let authority = Self { directory };
        authority.openssl(
            &["req", "-x509", "-subj", "/CN=test", "-out", "ca.crt"],
            "ca.key",
        );
        authority
    }

    /// Its own certificate, PEM.
    pub fn certificate(&self) -> PathBuf {
        self.directory.path().join("ca.crt")
    }

    /// Signs a certificate with these subject alternative names, such as
    /// `URI:spiffe://mesh.test/ns/shop/sa/billing,DNS:localhost`; `name` is for the files.
    #[track_caller]
    pub fn identity(&self, name: &str, alternatives: &str) -> Identity {
        let file = |ending: &str| format!("{name}.{ending}");
        let (key, request, certificate) = (file("key"), file("csr"), file("crt"));
        let id = format!("subjectAltName={alternatives}");
        self.openssl(
            &["req", "-subj", "/CN=x", "-addext", &id, "-out", &request],
            &key,
        );
        let mut sign = Command::new("openssl");
        sign.args(["x509", "-req", "-in", &request, "-out", &certificate])
            .args(["-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial"])
            .args(["-copy_extensions", "copy"]);
        output_of(sign.current_dir(self.path()));
        Identity {
            certificate: self.path().join(certificate),
            key: self.path().join(key),
        }
    }

    /// Runs openssl with a new key.
    fn openssl(&self, arguments: &[&str], key: &str) {
        let curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"];
        let mut command = Command::new("openssl");
        command
            .args(arguments)
            .args(curve)
            .args(["-nodes", "-keyout", key]);
        output_of(command.current_dir(self.path()));
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }
}
