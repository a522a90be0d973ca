//! The tags by which Holdfast knows its own resources. What lacks them is never touched.

use crate::Shared;
use std::collections::BTreeMap;

/// A resource's tags. Ordered, so that requests are repeated byte for byte.
/// Shared, for every look at a cloud copies those of everything that it shows.
pub type Tags = Shared<BTreeMap<String, String>>;

/// Which installation made the resource.
pub const INSTALLATION: &str = "holdfast:installation";
/// For which node.
pub const NODE: &str = "holdfast:node";
/// For which of the node's generations (instances, snapshots, images).
pub const GENERATION: &str = "holdfast:generation";
/// What it is to the node: `root`, `data:/dev/xvdb`, `interface`, `interface:1`, `instance`, or
/// `standby`: an instance that was launched while another still served.
pub const ROLE: &str = "holdfast:role";
/// The token of the call that made it: how an earlier attempt is found where EC2 takes no token.
pub const TOKEN: &str = "holdfast:token";
/// In which epoch of its installation's controller it was made (see [`crate::Epoch`]).
pub const EPOCH: &str = "holdfast:epoch";
/// All by which a resource is known as ours.
pub const OURS: [&str; 6] = [INSTALLATION, NODE, GENERATION, ROLE, TOKEN, EPOCH];
/// What was let go with its instance: the node that it belonged to. It is its user's from then on.
pub const RELEASED: &str = "holdfast:released";
/// Prefix of a user's tag that says where a volume is mounted in the node:
/// `holdfast:mount:/dev/xvdb` = `/var/lib/data`.
pub const MOUNT_PREFIX: &str = "holdfast:mount:";
/// A user's tag that says whether the next instance may be launched while the old one still serves,
/// where that is possible: `on` (as without it) or `off`.
pub const MAKE_BEFORE_BREAK: &str = "holdfast:make-before-break";
/// A tag of a user's volume that says where it is mounted in the node that it is attached to.
pub const MOUNT: &str = "holdfast:mount";
/// EC2's limit on tags of one resource.
pub const MAX_TAGS: usize = 50;
/// The most characters of a tag's key (EC2 API reference, CreateTags).
pub const MAX_TAG_KEY: usize = 127;
/// The most characters of a tag's value (the same).
pub const MAX_TAG_VALUE: usize = 256;
/// The most tags of a user: EC2's limit, less the first five above. With all of them taken, the
/// epoch is left out.
pub const MAX_USER_TAGS: usize = 45;
