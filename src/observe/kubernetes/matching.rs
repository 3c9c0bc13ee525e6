//! Which registered TaskManager runs in which pod: by the resource id, which the manifests set to the pod's name, or by the
//! address that it has registered with.

use crate::model::{Pod, Registered, TaskManager};
use crate::observe::flink::{TaskManagerListed, TaskManagers};

use super::pod::PodSeen;

/// The pods with the TaskManagers in them, and how many TaskManagers are in none of them.
pub(crate) fn matched(
    pods: impl IntoIterator<Item = PodSeen>,
    taskmanagers: Option<&TaskManagers>,
) -> (Vec<Pod>, Option<Registered>) {
    let mut found = 0;
    let with_taskmanager = |PodSeen { mut pod, ip }: PodSeen| {
        let mut listed = taskmanagers.iter().flat_map(|taskmanagers| &taskmanagers.listed);
        if let Some(one) = listed.find(|one| is_in(one, &pod.name, ip.as_deref())) {
            found += 1;
            pod.taskmanager = Some(TaskManager { slots: one.slots, free: one.free });
        }
        pod
    };
    let pods: Vec<Pod> = pods.into_iter().map(with_taskmanager).collect();
    let registered = taskmanagers.map(|TaskManagers { at, listed }| Registered {
        at: *at,
        unmatched: u32::try_from(listed.len().saturating_sub(found)).unwrap_or(u32::MAX),
    });
    (pods, registered)
}

/// An id that nobody has set is `host:port-hash`, and a path is `pekko.tcp://flink@host:port/user/rpc/taskmanager_0`.
fn is_in(listed: &TaskManagerListed, pod: &str, ip: Option<&str>) -> bool {
    let of_id = listed.id.rsplit_once(':').map_or(listed.id.as_str(), |(host, _)| host);
    let of_path = listed.path.split_once('@').and_then(|(_, rest)| {
        let authority = rest.split('/').next()?;
        Some(authority.rsplit_once(':').map_or(authority, |(host, _)| host))
    });
    [Some(of_id), of_path].into_iter().flatten().any(|host| {
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        // A StatefulSet's pod may give its name in its Service: `tm-0.taskmanagers.streams`.
        host == pod || ip == Some(bare) || host.split_once('.').is_some_and(|(first, _)| first == pod)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Timestamp;

    fn listed(id: &str, path: &str) -> TaskManagerListed {
        TaskManagerListed { id: id.to_owned(), path: path.to_owned(), slots: 4, free: 4 }
    }

    #[test]
    fn a_taskmanager_is_found_by_its_id_or_its_address() {
        let random = "10.244.0.9:41234-1f2e3d";
        let path = |host: &str| format!("pekko.tcp://flink@{host}:6122/user/rpc/taskmanager_0");
        for (id, path, is_it) in [
            ("tm-0", path("somewhere"), true),
            (random, path("10.0.0.7"), true),
            ("10.0.0.7:41234-1f2e3d", path("somewhere"), true),
            (random, path("tm-0.taskmanagers.streams"), true),
            (random, path("[fd00::7]"), false),
            (random, path("10.0.0.70"), false),
            ("tm-01", path("tm-01.taskmanagers"), false),
            (random, "nonsense".to_owned(), false),
        ] {
            assert_eq!(is_in(&listed(id, &path), "tm-0", Some("10.0.0.7")), is_it, "{id} {path}");
        }
        assert!(is_in(&listed(random, &path("[fd00::7]")), "tm-0", Some("fd00::7")));
    }

    #[test]
    fn those_in_no_pod_are_counted() {
        let pod = |name: &str| PodSeen { pod: Pod { name: name.to_owned(), ..Pod::default() }, ip: None };
        let all = TaskManagers {
            at: Timestamp::default(),
            listed: vec![listed("tm-0", ""), listed("a stranger", "")],
        };
        let (pods, registered) = matched([pod("tm-0"), pod("tm-1")], Some(&all));
        let with: Vec<_> = pods.iter().map(|pod| pod.taskmanager.is_some()).collect();
        assert_eq!((with, registered.map(|registered| registered.unmatched)), (vec![true, false], Some(1)));
        assert_eq!(matched([pod("tm-0")], None).1, None, "nobody asked");
    }
}
