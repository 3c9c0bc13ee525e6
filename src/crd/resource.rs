//! The objects, as the API server has them.

use std::borrow::Cow;

use kube::core::{NamespaceResourceScope, ObjectMeta, Resource};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::FlinkAutoscalerStatus;
use crate::config::document::{ApiVersion, FlinkAutoscalerKind, ScalingPolicyKind};
use crate::policy::{AutoscalerSpec, PolicySpec};

/// The group of both kinds.
pub const GROUP: &str = "tidegate.dev";

/// Their version.
pub const VERSION: &str = "v1alpha1";

/// How one job is to be scaled.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FlinkAutoscaler {
    #[serde(default)]
    api_version: ApiVersion,
    #[serde(default)]
    kind: FlinkAutoscalerKind,
    /// What it is called.
    pub metadata: ObjectMeta,
    /// What it says.
    pub spec: AutoscalerSpec,
    /// What came of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<FlinkAutoscalerStatus>,
}

impl FlinkAutoscaler {
    /// An object of this name.
    pub fn new(name: &str, spec: AutoscalerSpec) -> Self {
        let metadata = ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() };
        Self { metadata, spec, ..Self::default() }
    }
}

/// How the right size is found, and what limits it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ScalingPolicy {
    #[serde(default)]
    api_version: ApiVersion,
    #[serde(default)]
    kind: ScalingPolicyKind,
    /// What it is called.
    pub metadata: ObjectMeta,
    /// What it says.
    pub spec: PolicySpec,
    /// What it is to do when, for `tidegate policy test`. Nothing in a cluster looks at them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tests: Vec<Value>,
}

impl ScalingPolicy {
    /// An object of this name.
    pub fn new(name: &str, spec: PolicySpec) -> Self {
        let metadata = ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() };
        Self { metadata, spec, ..Self::default() }
    }
}

/// The names by which the API server knows a kind.
macro_rules! resource {
    ($type:ident, $plural:literal) => {
        impl Resource for $type {
            type DynamicType = ();
            type Scope = NamespaceResourceScope;

            fn kind((): &()) -> Cow<'_, str> {
                stringify!($type).into()
            }

            fn group((): &()) -> Cow<'_, str> {
                GROUP.into()
            }

            fn version((): &()) -> Cow<'_, str> {
                VERSION.into()
            }

            fn plural((): &()) -> Cow<'_, str> {
                $plural.into()
            }

            fn meta(&self) -> &ObjectMeta {
                &self.metadata
            }

            fn meta_mut(&mut self) -> &mut ObjectMeta {
                &mut self.metadata
            }
        }
    };
}

resource!(FlinkAutoscaler, "flinkautoscalers");
resource!(ScalingPolicy, "scalingpolicies");

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{Rule, Throughput};

    #[test]
    fn an_object_has_the_names_of_its_kind() {
        let spec =
            PolicySpec { rules: vec![Rule::Throughput(Throughput::default())], ..PolicySpec::default() };
        for (json, api_version, kind) in [
            (
                serde_json::to_value(FlinkAutoscaler::new("orders", AutoscalerSpec::default())),
                FlinkAutoscaler::api_version(&()),
                FlinkAutoscaler::kind(&()),
            ),
            (
                serde_json::to_value(ScalingPolicy::new("orders", spec)),
                ScalingPolicy::api_version(&()),
                ScalingPolicy::kind(&()),
            ),
        ] {
            let json = json.expect("it can be written");
            assert_eq!(json["apiVersion"], *api_version);
            assert_eq!(json["kind"], *kind);
            assert_eq!(json["metadata"]["name"], "orders");
        }
        assert_eq!(
            FlinkAutoscaler::url_path(&(), Some("streams")),
            "/apis/tidegate.dev/v1alpha1/namespaces/streams/flinkautoscalers"
        );
    }

    #[test]
    fn reads_an_object_as_a_list_has_it() {
        let json =
            r#"{"metadata": {"name": "orders"}, "spec": {"flink": {"service": {"name": "orders-rest"}}}}"#;
        let object: FlinkAutoscaler = serde_json::from_str(json).expect("an object");
        assert_eq!(object.spec.flink.service.expect("a service").name, "orders-rest");
        assert_eq!(object.status, None);
    }
}
