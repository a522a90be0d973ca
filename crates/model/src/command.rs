//! What Holdfast asks of a cloud: whole requests, in EC2's words, that can be repeated byte for
//! byte; and how a cloud can refuse.

use crate::facts::Facts;
use crate::tags::Tags;
use crate::{
    AllocationId, ImageId, InstanceId, InterfaceId, Market, SnapshotId, SubnetId, Token, VolumeId,
    Zone,
};
use serde::{Deserialize, Serialize};

/// One member of a generation's manifest: a volume that must be mounted before the gate opens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mount {
    /// The volume.
    pub volume: VolumeId,
    /// Device name under which it is attached.
    pub device: String,
    /// The filesystem's UUID, by which it is mounted; `None` until the cloud has told it.
    pub fs_uuid: Option<String>,
    /// Where it is mounted in the node.
    pub target: String,
}

/// Everything that a launch says. One value, so that it can be repeated and compared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Launch {
    /// ClientToken.
    pub token: Token,
    /// Which market.
    pub market: Market,
    /// Which image.
    pub image: ImageId,
    /// An interface kept from before; none: the cloud makes one in the subnet, and it dies with
    /// the instance.
    pub interface: Option<InterfaceId>,
    /// Whether the root volume dies with the instance.
    pub root_delete_on_termination: bool,
    /// Size of the root volume in GiB, if the spec says.
    pub root_size_gib: Option<u32>,
    /// Type, iops, throughput, encryption of the root volume, as received.
    #[serde(default, skip_serializing_if = "serde_json::Map::is_empty")]
    pub root_settings: serde_json::Map<String, serde_json::Value>,
    /// User data, base64 as received.
    pub user_data: Option<String>,
    /// Shutdown script, base64 as received; run by the agent when the node is drained.
    pub shutdown_script: Option<String>,
    /// Everything else of the spec's launchSpecification that the cloud may honour (security
    /// groups, key pair, metadata options, …), as received.
    pub settings: serde_json::Map<String, serde_json::Value>,
    /// Tags of the instance.
    pub tags: Tags,
    /// Tags of the root volume; none: those of the instance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub volume_tags: Option<Tags>,
    /// Tags of an interface that is made with the instance; none: those of the instance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interface_tags: Option<Tags>,
}

impl Launch {
    /// Tags of the root volume.
    #[must_use]
    pub fn root_tags(&self) -> &Tags {
        self.volume_tags.as_ref().unwrap_or(&self.tags)
    }

    /// Tags of an interface that is made with the instance.
    #[must_use]
    pub fn own_interface_tags(&self) -> &Tags {
        self.interface_tags.as_ref().unwrap_or(&self.tags)
    }
}

/// The most devices of one [`Command::SetDeleteOnTermination`]: no instance holds more volumes (EC2
/// user guide, "Amazon EBS volume limits for Amazon EC2 instances").
pub const MAX_DEVICES: usize = 128;

/// Reads a list of names, or the one name that older versions wrote in its place.
fn one_or_many<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Names {
        One(String),
        Many(Vec<String>),
    }
    Ok(match Names::deserialize(from)? {
        Names::One(name) => vec![name],
        Names::Many(names) => names,
    })
}

/// A command. Each carries all that is needed to repeat it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "PascalCase")]
pub enum Command {
    /// RunInstances for one instance. Takes a client token.
    RunInstances(Box<Launch>),
    /// Asks a market for an instance and gives it back at once, to learn whether it has capacity:
    /// EC2 has no question for that but a launch (RunInstances of one bare one-time spot instance,
    /// then TerminateInstances), for which it bills its least time, a minute. Takes a client token.
    Probe {
        /// ClientToken.
        token: Token,
        /// Which market.
        market: Market,
    },
    /// Runs the shutdown script in the node and waits for its end. Idempotent: it runs once.
    Drain {
        /// The instance.
        instance: InstanceId,
        /// After how long it counts as drained anyway, in milliseconds.
        timeout_ms: u64,
    },
    /// TerminateInstances. Idempotent.
    TerminateInstances {
        /// The instance.
        instance: InstanceId,
    },
    /// ModifyInstanceAttribute: sets DeleteOnTermination of these devices, of all or of none
    /// (BlockDeviceMappings takes several). Idempotent.
    SetDeleteOnTermination {
        /// The instance.
        instance: InstanceId,
        /// Device names, 1 to [`MAX_DEVICES`]. Older records name one, as `device`.
        #[serde(alias = "device", deserialize_with = "one_or_many")]
        devices: Vec<String>,
        /// The new value.
        value: bool,
    },
    /// CreateVolume. Takes a client token.
    CreateVolume {
        /// ClientToken.
        token: Token,
        /// Zone.
        zone: Zone,
        /// Size in GiB.
        size_gib: u32,
        /// Restore from this snapshot; none: blank.
        snapshot: Option<SnapshotId>,
        /// Volume type, iops, throughput, encryption, as received.
        settings: serde_json::Map<String, serde_json::Value>,
        /// Tags.
        tags: Tags,
    },
    /// DeleteVolume. Idempotent here: a volume that is gone is success.
    DeleteVolume {
        /// The volume.
        volume: VolumeId,
    },
    /// AttachVolume. Idempotent here: attached to that instance under that name is success.
    AttachVolume {
        /// The volume.
        volume: VolumeId,
        /// The instance.
        instance: InstanceId,
        /// Device name.
        device: String,
    },
    /// DetachVolume, never forced. Idempotent here: a free volume is success.
    DetachVolume {
        /// The volume.
        volume: VolumeId,
        /// The instance.
        instance: InstanceId,
    },
    /// CreateSnapshot. Takes no token at EC2: an earlier attempt is found by the tag `TOKEN`.
    CreateSnapshot {
        /// The volume.
        volume: VolumeId,
        /// Tags, among them the token.
        tags: Tags,
    },
    /// CreateSnapshots: of an instance's volumes, at one instant. Takes no token at EC2: an earlier
    /// attempt is found by the tag `TOKEN`.
    CreateSnapshots {
        /// The instance.
        instance: InstanceId,
        /// Whether the root volume is left out (ExcludeBootVolume).
        exclude_boot: bool,
        /// Data volumes that are left out (ExcludeDataVolumeIds).
        exclude: Vec<VolumeId>,
        /// Tags of each snapshot, among them the token.
        tags: Tags,
    },
    /// DeleteSnapshot. Idempotent here.
    DeleteSnapshot {
        /// The snapshot.
        snapshot: SnapshotId,
    },
    /// RegisterImage from a root snapshot. Takes no token: an earlier attempt is found by `name`,
    /// which is unique.
    RegisterImage {
        /// Unique name, derived from the token.
        name: String,
        /// The root volume's snapshot.
        snapshot: SnapshotId,
        /// The image whose architecture, boot mode and other properties are carried over.
        like: ImageId,
        /// Device name of the root volume.
        root_device: String,
        /// Tags.
        tags: Tags,
    },
    /// DeregisterImage. Idempotent here. The snapshot stays.
    DeregisterImage {
        /// The image.
        image: ImageId,
    },
    /// CreateNetworkInterface. Takes a client token.
    CreateNetworkInterface {
        /// ClientToken.
        token: Token,
        /// The subnet.
        subnet: SubnetId,
        /// A chosen private IPv4 address.
        private_ip: Option<String>,
        /// Security groups.
        groups: Vec<String>,
        /// Tags.
        tags: Tags,
    },
    /// DeleteNetworkInterface. Idempotent here.
    DeleteNetworkInterface {
        /// The interface.
        interface: InterfaceId,
    },
    /// AttachNetworkInterface, to a running instance. Idempotent here: attached to that instance
    /// under that index is success.
    AttachNetworkInterface {
        /// The interface.
        interface: InterfaceId,
        /// The instance.
        instance: InstanceId,
        /// Under which device index, from 1: the primary interface is given at launch.
        device_index: u32,
    },
    /// DetachNetworkInterface, never forced. Idempotent here: a free interface is success. The
    /// primary interface is freed only by termination.
    DetachNetworkInterface {
        /// The interface.
        interface: InterfaceId,
        /// The instance.
        instance: InstanceId,
    },
    /// AssociateAddress, with an interface (never with an instance, which may be pending).
    /// Idempotent here: the address leads to that interface already is success.
    AssociateAddress {
        /// The Elastic IP.
        allocation: AllocationId,
        /// The interface.
        interface: InterfaceId,
        /// Whether it may be taken from another interface that it leads to.
        allow_reassociation: bool,
    },
    /// DisassociateAddress. Idempotent here: that the address does not lead to that interface is
    /// success.
    DisassociateAddress {
        /// The Elastic IP.
        allocation: AllocationId,
        /// The interface.
        interface: InterfaceId,
    },
    /// CreateTags. Idempotent: tags that are there are set anew.
    CreateTags {
        /// The resource's id.
        resource: String,
        /// What is added.
        tags: Tags,
    },
    /// DeleteTags. Idempotent: keys that are not there are success.
    DeleteTags {
        /// The resource's id.
        resource: String,
        /// Which go.
        keys: Vec<String>,
    },
    /// Lets the workload start, once every member of the manifest is mounted. Idempotent.
    OpenGate {
        /// The instance.
        instance: InstanceId,
        /// What must be mounted, and where.
        manifest: Vec<Mount>,
        /// The interface by which the node is known, if that is not the instance's primary one:
        /// from then on the node's name, and what leaves it, has this interface's address.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        interface: Option<InterfaceId>,
    },
}

impl Command {
    /// EC2's name of the action (or Holdfast's own, for what the agent does): the key of budgets.
    #[must_use]
    pub fn action(&self) -> &'static str {
        match self {
            Command::RunInstances(_) => "RunInstances",
            // It spends the same tokens.
            Command::Probe { .. } => "RunInstances",
            Command::Drain { .. } => "Drain",
            Command::TerminateInstances { .. } => "TerminateInstances",
            Command::SetDeleteOnTermination { .. } => "ModifyInstanceAttribute",
            Command::CreateVolume { .. } => "CreateVolume",
            Command::DeleteVolume { .. } => "DeleteVolume",
            Command::AttachVolume { .. } => "AttachVolume",
            Command::DetachVolume { .. } => "DetachVolume",
            Command::CreateSnapshot { .. } => "CreateSnapshot",
            Command::CreateSnapshots { .. } => "CreateSnapshots",
            Command::DeleteSnapshot { .. } => "DeleteSnapshot",
            Command::RegisterImage { .. } => "RegisterImage",
            Command::DeregisterImage { .. } => "DeregisterImage",
            Command::CreateNetworkInterface { .. } => "CreateNetworkInterface",
            Command::DeleteNetworkInterface { .. } => "DeleteNetworkInterface",
            Command::AttachNetworkInterface { .. } => "AttachNetworkInterface",
            Command::DetachNetworkInterface { .. } => "DetachNetworkInterface",
            Command::AssociateAddress { .. } => "AssociateAddress",
            Command::DisassociateAddress { .. } => "DisassociateAddress",
            Command::CreateTags { .. } => "CreateTags",
            Command::DeleteTags { .. } => "DeleteTags",
            Command::OpenGate { .. } => "OpenGate",
        }
    }

    /// The kind of resource that it makes, if it makes one.
    #[must_use]
    pub fn makes(&self) -> Option<crate::facts::ResourceKind> {
        use crate::facts::ResourceKind as R;
        match self {
            Command::RunInstances(_) => Some(R::Instance),
            Command::CreateVolume { .. } => Some(R::Volume),
            Command::CreateSnapshot { .. } | Command::CreateSnapshots { .. } => Some(R::Snapshot),
            Command::RegisterImage { .. } => Some(R::Image),
            Command::CreateNetworkInterface { .. } => Some(R::Interface),
            _ => None,
        }
    }

    /// Ids of the existing resources that it changes or relies on: what was read of them before it
    /// returned proves nothing.
    #[must_use]
    pub fn touches(&self) -> Vec<&str> {
        match self {
            Command::RunInstances(launch) => {
                launch.interface.iter().map(InterfaceId::as_str).collect()
            }
            Command::Drain { instance, .. }
            | Command::TerminateInstances { instance }
            | Command::SetDeleteOnTermination { instance, .. }
            | Command::OpenGate { instance, .. } => vec![instance.as_str()],
            Command::AttachVolume { volume, instance, .. }
            | Command::DetachVolume { volume, instance } => {
                vec![volume.as_str(), instance.as_str()]
            }
            Command::CreateTags { resource, .. } | Command::DeleteTags { resource, .. } => {
                vec![resource.as_str()]
            }
            Command::DeleteVolume { volume } => vec![volume.as_str()],
            Command::DeleteSnapshot { snapshot } => vec![snapshot.as_str()],
            Command::DeregisterImage { image } => vec![image.as_str()],
            Command::DeleteNetworkInterface { interface }
            | Command::AttachNetworkInterface { interface, .. }
            | Command::DetachNetworkInterface { interface, .. }
            | Command::AssociateAddress { interface, .. }
            | Command::DisassociateAddress { interface, .. } => vec![interface.as_str()],
            Command::Probe { .. }
            | Command::CreateVolume { .. }
            | Command::CreateSnapshot { .. }
            | Command::CreateSnapshots { .. }
            | Command::RegisterImage { .. }
            | Command::CreateNetworkInterface { .. } => Vec::new(),
        }
    }

    /// The client token, where EC2 takes one.
    #[must_use]
    pub fn token(&self) -> Option<&Token> {
        match self {
            Command::RunInstances(launch) => Some(&launch.token),
            Command::CreateVolume { token, .. } | Command::CreateNetworkInterface { token, .. } => {
                Some(token)
            }
            _ => None,
        }
    }

    /// Whether a repetition after an unknown outcome could make a second resource: then an
    /// earlier attempt is looked for first.
    #[must_use]
    pub fn needs_lookup(&self) -> bool {
        matches!(
            self,
            Command::CreateSnapshot { .. }
                | Command::CreateSnapshots { .. }
                | Command::RegisterImage { .. }
        )
    }
}

/// A command's success: the facts that it established (for a creation the first is the new
/// resource).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reply {
    /// Facts as of the reply.
    pub facts: Facts,
    /// Ids that are positively gone through this command.
    pub gone: Vec<String>,
}

/// Why a cloud refuses. Each class has one consequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ErrorClass {
    /// InsufficientInstanceCapacity, SpotMaxPriceTooLow: another market.
    Capacity,
    /// VcpuLimitExceeded and the like: another family of markets.
    Quota,
    /// VolumeLimitExceeded, MaxStorageExceeded: no room for volumes or snapshots, in any market. The
    /// same again after a pause, until there is.
    Storage,
    /// RequestLimitExceeded: the same request, later.
    Throttled,
    /// NotFound just after a creation: the same request, later.
    NotYetVisible,
    /// A resource is in a state that passes: the same request, later.
    Conflict,
    /// Never going to work: another attempt only after something changed.
    Refused,
    /// Credentials: nothing will work until a person acts.
    Unauthorised,
    /// The request did not leave: the same request, later.
    Unreachable,
    /// It may or may not have been done: the same request, byte for byte.
    OutcomeUnknown,
}

impl ErrorClass {
    /// Whether the cloud definitely did nothing and will not do it: only then may an attempt be
    /// given up.
    #[must_use]
    pub fn is_definite(self) -> bool {
        matches!(
            self,
            ErrorClass::Capacity | ErrorClass::Quota | ErrorClass::Storage | ErrorClass::Refused
        )
    }
}

/// A refusal, with EC2's code and a sentence for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{code}: {message}")]
pub struct CloudError {
    /// What follows from it.
    pub class: ErrorClass,
    /// EC2's error code.
    pub code: String,
    /// What happened, to which resource, and what would help.
    pub message: String,
}
