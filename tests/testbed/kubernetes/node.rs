//! The node of the test bed, of which we know the process that all others in it descend from.

use std::ffi::OsStr;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use crate::testbed::process::Process;
use crate::testbed::{ports, until};

/// How long a small process may take to start.
const PATIENCE: Duration = Duration::from_secs(30);

/// A node that runs on this machine, in namespaces of its own.
#[derive(Clone, Copy, Debug)]
pub(super) struct Node {
    pub(super) init: u32,
}

/// A port on loopback that leads to one on the node's network, while this is held.
pub struct Forward {
    port: u16,
    _relay: Process,
}

impl Forward {
    /// The local end.
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// The local end for HTTP, without a slash at the end.
    pub fn url(&self) -> String {
        format!("http://{}", self.address())
    }
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/testbed/node").join(name)
}

impl Node {
    /// The node that a kubeconfig made by `up` belongs to.
    pub(super) fn beside(kubeconfig: &Path) -> Option<Self> {
        let init = fs::read_to_string(kubeconfig.with_file_name("init.pid")).ok()?.trim().parse().ok()?;
        Some(Self { init })
    }

    /// Makes an address of a pod or a Service reachable from here.
    pub(super) async fn forward(self, address: &str, port: u16, folder: &Path) -> Result<Forward> {
        let local = ports::free()?;
        let spec = format!("127.0.0.1:{local}={address}:{port}");
        let command = [script("relay").display().to_string(), self.init.to_string(), spec];
        let mut relay = Process::start(&format!("relay-{local}"), folder, &command)?;
        until("the relay to listen", PATIENCE, async || {
            relay.check_alive()?;
            Ok(TcpStream::connect((Ipv4Addr::LOCALHOST, local))?)
        })
        .await?;
        Ok(Forward { port: local, _relay: relay })
    }

    /// A command that runs on the node's network and asks the cluster for names; its files are this machine's.
    pub(super) fn command(self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(script("enter"));
        command.arg(self.init.to_string()).arg(program);
        command
    }

    /// Puts a program into the node as a container image of that name.
    pub(super) fn load(self, name: &str, program: &Path) -> Result<()> {
        let run = Command::new(script("load")).arg(self.init.to_string()).arg(name).arg(program).output()?;
        ensure!(run.status.success(), "cannot load {name}: {}", String::from_utf8_lossy(&run.stderr));
        Ok(())
    }

    /// Sends a signal to each process of a program in a pod, as the kernel itself would: nothing in the pod is asked.
    pub(super) fn signal(pod_uid: &str, program: &str, signal: &str) -> Result<()> {
        let mut found = Vec::new();
        for entry in fs::read_dir("/proc")? {
            let path = entry?.path();
            // Processes end while they are looked at.
            let (Ok(cgroup), Ok(name)) =
                (fs::read_to_string(path.join("cgroup")), fs::read_to_string(path.join("comm")))
            else {
                continue;
            };
            if cgroup.contains(&format!("pod{pod_uid}")) && name.trim() == program {
                found
                    .push(path.file_name().context("a process has a number")?.to_string_lossy().into_owned());
            }
        }
        if found.is_empty() {
            bail!("no {program} runs in that pod");
        }
        let run = Command::new("kill").args(["-s", signal]).args(&found).output()?;
        ensure!(run.status.success(), "cannot signal: {}", String::from_utf8_lossy(&run.stderr));
        Ok(())
    }
}
