//! etcd, kube-apiserver, kube-controller-manager and kube-scheduler as processes.
//!
//! The API server listens on the address of the node's bridge, so that pods reach it. It calls
//! webhooks at the addresses of their pods, because no kube-proxy serves a Service's address here.

use std::{
    fs, io,
    net::IpAddr,
    path::{Path, PathBuf},
};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use tempfile::TempDir;

use super::parts::Programs;
use crate::api_server::{RealServer, RealServerOptions};

/// All controllers except those that no test needs.
const CONTROLLERS: &str = "*,-horizontal-pod-autoscaler-controller,-persistentvolume-binder-controller,\
    -persistentvolume-attach-detach-controller,-persistentvolume-expander-controller,\
    -ephemeral-volume-controller,-volumeattributesclass-protection-controller,\
    -certificatesigningrequest-signing-controller,-certificatesigningrequest-approving-controller,\
    -certificatesigningrequest-cleaner-controller,-node-ipam-controller,\
    -bootstrap-signer-controller,-token-cleaner-controller";

/// Four processes that end when this is dropped.
pub(super) struct ControlPlane {
    pub(super) server: RealServer,
    _certificates: TempDir,
}

impl ControlPlane {
    /// Starts all four.
    ///
    /// # Errors If one does not start.
    pub(super) async fn start(
        parts: &Programs,
        address: IpAddr,
    ) -> Result<Self, Box<dyn std::error::Error>> {
        let certificates = tempfile::tempdir()?;
        let authority = certify(certificates.path(), address)?;
        let file = |name: &str| certificates.path().join(name).display().to_string();
        let further = [
            format!("--tls-cert-file={}", file("server.crt")),
            format!("--tls-private-key-file={}", file("server.key")),
            "--enable-aggregator-routing=true".to_owned(),
        ];
        let mut server = RealServer::start_as(RealServerOptions {
            assets: Some(parts.assets.clone()),
            address,
            further: further.into(),
        })
        .await?;
        let kubeconfig = format!("--kubeconfig={}", server.kubeconfig()?.display());
        let common = [
            kubeconfig,
            "--leader-elect=false".to_owned(),
            "--secure-port=0".to_owned(),
            "--kube-api-qps=200".to_owned(),
            "--kube-api-burst=400".to_owned(),
        ];
        let key = server.folder().join("service-accounts.key");
        let of_manager = [
            format!("--controllers={CONTROLLERS}"),
            format!("--root-ca-file={}", authority.display()),
            format!("--service-account-private-key-file={}", key.display()),
        ];
        server.run(
            "kube-controller-manager",
            [&common[..], &of_manager].concat(),
        )?;
        server.run("kube-scheduler", common.to_vec())?;
        Ok(Self {
            server,
            _certificates: certificates,
        })
    }

    /// Returns the last log lines of each.
    pub(super) fn logs(&self) -> String {
        self.server.logs()
    }
}

/// Creates a CA and the API server's certificate, and returns the CA's file.
fn certify(folder: &Path, address: IpAddr) -> Result<PathBuf, Box<dyn std::error::Error>> {
    let mut params = CertificateParams::default();
    params
        .distinguished_name
        .push(DnType::CommonName, "authority of a test");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate()?;
    let authority = params.self_signed(&key)?.pem();
    let issuer = Issuer::from_params(&params, &key);
    let names = [
        "kubernetes.default.svc".to_owned(),
        "localhost".to_owned(),
        address.to_string(),
        "127.0.0.1".to_owned(),
    ];
    let server_key = KeyPair::generate()?;
    let certificate = CertificateParams::new(names)?.signed_by(&server_key, &issuer)?;
    write(folder, "server.crt", &certificate.pem())?;
    write(folder, "server.key", &server_key.serialize_pem())?;
    Ok(write(folder, "ca.crt", &authority)?)
}

fn write(folder: &Path, name: &str, text: &str) -> io::Result<PathBuf> {
    let file = folder.join(name);
    fs::write(&file, text)?;
    Ok(file)
}
