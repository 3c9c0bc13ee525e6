//! TLS as it goes right, and as it goes wrong: who is trusted, under which name, and who asks for a certificate.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::RootCertStore;
use rustls::pki_types::PrivateKeyDer;
use rustls::server::WebPkiClientVerifier;
use tempfile::TempDir;
use tokio::time::Instant;

use rustls::crypto::ring;

use super::client::FlinkClient;
use super::scripted::{Reply, Scripted};
use crate::policy::FlinkRef;

/// An authority that signs certificates and keeps them in files.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
    folder: TempDir,
}

impl Authority {
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let pem = params.self_signed(&key).expect("signed").pem();
        let folder = tempfile::tempdir().expect("a folder");
        Self { issuer: Issuer::new(params, key), pem, folder }
    }

    /// A certificate and its key, in PEM.
    fn sign(&self, name: &str, change: impl FnOnce(&mut CertificateParams)) -> (String, String) {
        let mut params = CertificateParams::new(vec![name.to_owned()]).expect("a name");
        change(&mut params);
        let key = KeyPair::generate().expect("a key");
        (params.signed_by(&key, &self.issuer).expect("signed").pem(), key.serialize_pem())
    }

    fn write(&self, name: &str, text: &str) -> String {
        let path: PathBuf = self.folder.path().join(name);
        std::fs::write(&path, text).expect("written");
        path.display().to_string()
    }

    /// Its own certificate, in a file.
    fn file(&self) -> String {
        self.write("ca.pem", &self.pem)
    }

    fn roots(&self) -> Arc<RootCertStore> {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(certificates(&self.pem));
        Arc::new(roots)
    }
}

fn certificates(pem: &str) -> Vec<rustls::pki_types::CertificateDer<'static>> {
    use rustls::pki_types::pem::PemObject;
    rustls::pki_types::CertificateDer::pem_slice_iter(pem.as_bytes())
        .map(|der| der.expect("a certificate"))
        .collect()
}

fn key(pem: &str) -> PrivateKeyDer<'static> {
    use rustls::pki_types::pem::PemObject;
    PrivateKeyDer::from_pem_slice(pem.as_bytes()).expect("a key")
}

/// A server that shows this certificate, and asks for one of `clients` where that is given.
async fn server((certificate, private): (String, String), clients: Option<&Authority>) -> Scripted {
    let provider = Arc::new(ring::default_provider());
    let builder = rustls::ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .expect("versions");
    let builder = match clients {
        Some(authority) => builder.with_client_cert_verifier(
            WebPkiClientVerifier::builder_with_provider(authority.roots(), provider)
                .build()
                .expect("a verifier"),
        ),
        None => builder.with_no_client_auth(),
    };
    let config = builder.with_single_cert(certificates(&certificate), key(&private)).expect("a certificate");
    let server = Scripted::start_tls(config).await;
    server.set_all(Reply::ok(r#"{"flink-version":"2.3.0"}"#));
    server
}

/// The first question, over this connection.
async fn ask(client: &FlinkClient) -> Result<(), String> {
    let answer = client.config(Instant::now() + Duration::from_secs(5)).await;
    answer.map(drop).map_err(|error| error.to_string())
}

fn client(flink: &FlinkRef) -> FlinkClient {
    FlinkClient::new(flink).expect("a client")
}

#[tokio::test]
async fn trusts_the_authority_that_is_named_and_no_other() {
    let [ours, theirs, false_ours] = ["ours", "theirs", "ours"].map(Authority::new);
    let right = server(ours.sign("localhost", |_| {}), None).await;
    let other_name = server(ours.sign("flink", |_| {}), None).await;
    let expired = server(
        ours.sign("localhost", |params| {
            params.not_before = rcgen::date_time_ymd(2001, 1, 1);
            params.not_after = rcgen::date_time_ymd(2002, 1, 1);
        }),
        None,
    )
    .await;
    let itself = server((ours.pem.clone(), ours.issuer.key().serialize_pem()), None).await;
    for (server, authority, part) in [
        (&itself, &ours, Some("is that of an authority")),
        (&right, &ours, None),
        (&right, &theirs, Some("flink.caFile")),
        (&right, &false_ours, Some("flink.caFile")),
        (&other_name, &ours, Some("another name than the url has")),
        (&expired, &ours, Some("has expired")),
    ] {
        let flink = FlinkRef { ca_file: Some(authority.file()), ..server.flink() };
        match (ask(&client(&flink)).await, part) {
            (Ok(()), None) => {}
            (Err(error), Some(part)) => assert!(error.contains(part), "{error}"),
            (answer, _) => panic!("{answer:?}, not {part:?}"),
        }
    }
}

#[tokio::test]
async fn shows_its_certificate_where_it_is_asked_for_one() {
    let [ours, theirs, false_ours] = ["ours", "theirs", "ours"].map(Authority::new);
    let server = server(ours.sign("localhost", |_| {}), Some(&ours)).await;
    let of = |authority: &Authority| {
        let (certificate, private) = authority.sign("tidegate", |_| {});
        Some(authority.write("client.pem", &(certificate + &private)))
    };
    for (client_cert_file, part) in [
        (of(&ours), None),
        (None, Some("it asks for a client certificate")),
        (of(&theirs), Some("does not accept the client certificate")),
        (of(&false_ours), Some("does not accept the client certificate")),
    ] {
        let flink = FlinkRef { ca_file: Some(ours.file()), client_cert_file, ..server.flink() };
        match (ask(&client(&flink)).await, part) {
            (Ok(()), None) => {}
            (Err(error), Some(part)) => assert!(error.contains(part), "{error}"),
            (answer, _) => panic!("{answer:?}, not {part:?}"),
        }
    }
}

#[tokio::test]
async fn takes_up_a_certificate_that_was_renewed() {
    let [old, new] = ["old", "new"].map(Authority::new);
    let server = server(new.sign("localhost", |_| {}), None).await;
    let flink = FlinkRef { ca_file: Some(old.file()), ..server.flink() };
    let client = client(&flink);
    ask(&client).await.expect_err("the authority is not trusted yet");
    old.write("ca.pem", "half writ");
    ask(&client).await.expect_err("what was there before stays in use");
    old.write("ca.pem", &new.pem);
    ask(&client).await.expect("it is trusted now");
}

#[tokio::test]
async fn tells_https_from_http() {
    let ours = Authority::new("ours");
    let tls = server(ours.sign("localhost", |_| {}), None).await;
    let flink = FlinkRef { url: tls.url().replace("https", "http"), ..tls.flink() };
    let error = ask(&client(&flink)).await.expect_err("no TLS");
    assert!(error.contains("begins with https"), "{error}");

    // Flink itself says so in its own way.
    let plain = Scripted::start().await;
    plain.set_all(Reply::Redirect("https://flink:8081/config"));
    let error = ask(&client(&plain.flink())).await.expect_err("not there");
    assert!(error.contains("begins with https"), "{error}");

    plain.set_all(Reply::Bytes(b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec()));
    let url = plain.url().replace("http", "https");
    let error = ask(&client(&FlinkRef { url, ca_file: Some(ours.file()), ..plain.flink() }))
        .await
        .expect_err("no TLS there");
    assert!(error.contains("does not speak TLS"), "{error}");
}

/// Of X.509 version 1, as `openssl x509 -req` makes them; of no use anywhere but here.
const VERSION_1: &str = "-----BEGIN CERTIFICATE-----
MIIBFjCBvQIUY4k3S0DEa2QiP/TWDQhcdJLCDiIwCgYIKoZIzj0EAwIwDTELMAkG
A1UEAwwCdjEwIBcNMjYxMTIyMjAwNDE5WhgPMjEyNjEwMjkyMDA0MTlaMA0xCzAJ
BgNVBAMMAnYxMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEquLog48QKRXryOOh
4yLKX1JgJfOZsxqIyfKngif7f0hchZQjqsQdd4Ild/MJE7ioI3ubYDIa4O+55GL/
sPO9lTAKBggqhkjOPQQDAgNIADBFAiAXXI/Fgt5w8DSKrGF85/+jGleHwyB2mXGG
DrZBUhwz3QIhAIY1CsjG6yWqa79H451stXqQjVH6MEaO4jwPOcjQwSzp
-----END CERTIFICATE-----
";

#[tokio::test]
async fn names_the_file_that_is_at_fault() {
    let ours = Authority::new("ours");
    let (certificate, private) = ours.sign("tidegate", |_| {});
    let good = ours.write("good.pem", &(certificate + &private));
    let (_, any_key) = ours.sign("tidegate", |_| {});
    let old = ours.write("old.pem", &(VERSION_1.to_owned() + &any_key));
    let broken = "-----BEGIN CERTIFICATE-----\naGVsbG8=\n-----END CERTIFICATE-----\n";
    let broken = ours.write("broken.pem", broken);
    for (ca_file, client_cert_file, part) in [
        (&broken, &good, "flink.caFile"),
        (&ours.file(), &broken, "flink.clientCertFile"),
        (&ours.file(), &old, "X.509 version 1"),
    ] {
        let flink = FlinkRef {
            url: "https://flink:8081".to_owned(),
            ca_file: Some(ca_file.clone()),
            client_cert_file: Some(client_cert_file.clone()),
            ..FlinkRef::default()
        };
        let error = FlinkClient::new(&flink).err().expect("a fault").to_string();
        assert!(error.contains(part), "{error}");
    }
}
