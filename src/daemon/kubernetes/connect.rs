//! How the API server is reached: by the ServiceAccount of the pod, or by a kubeconfig.

use std::time::Duration;

use kube::config::InferConfigError;
use kube::{Client, Config};
use rustls::crypto::{CryptoProvider, ring};

/// A connection within a cluster stands in milliseconds; one that does not in this time will not.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Where the API server is, and the namespace of whoever asks: that of the pod, or of the kubeconfig's context. Connects to
/// nothing yet.
pub(in crate::daemon) async fn config() -> Result<Config, InferConfigError> {
    let mut config = Config::infer().await?;
    config.connect_timeout = Some(CONNECT_TIMEOUT);
    Ok(config)
}

/// A client for it. Connects to nothing yet.
pub(in crate::daemon) fn client(config: Config) -> kube::Result<Client> {
    if CryptoProvider::get_default().is_none() {
        // Someone may have been quicker; theirs is as good.
        let _ = ring::default_provider().install_default();
    }
    Client::try_from(config)
}
