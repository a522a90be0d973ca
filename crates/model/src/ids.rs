//! Identifiers. Each kind has a type of its own, so that a volume is never passed as a snapshot.

use serde::{Deserialize, Serialize};

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub String);

        impl $name {
            /// The identifier as text, as it stands on the wire.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.to_owned())
            }
        }
    };
}

id!(
    /// A stateful node: `smi-` and eight hexadecimal digits.
    NodeId
);
id!(
    /// An instance of the cloud: `i-…`.
    InstanceId
);
id!(
    /// A block volume: `vol-…`.
    VolumeId
);
id!(
    /// A snapshot of a volume: `snap-…`.
    SnapshotId
);
id!(
    /// A machine image: `ami-…`.
    ImageId
);
id!(
    /// A network interface: `eni-…`.
    InterfaceId
);
id!(
    /// An Elastic IP by its allocation: `eipalloc-…`. It is the user's, never Holdfast's.
    AllocationId
);
id!(
    /// A subnet: `subnet-…`. It lies in one zone.
    SubnetId
);
id!(
    /// An availability zone by its name, such as `local-1a`.
    Zone
);
id!(
    /// One installation of Holdfast: what owns a resource. Made at the first start, never changed.
    Installation
);
id!(
    /// The token of one call: derived from installation, node, generation, row, call and attempt.
    Token
);
