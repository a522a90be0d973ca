//! The instance types of region `local-1`, by EC2's names, with the published size of each
//! (EC2 user guide, "Instance types") and the on-demand price of us-east-1 in 2024.

use crate::refusal::refused;
use holdfast_model::market::InstanceType;
use holdfast_model::{CloudError, Lifecycle};

/// A type.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LocalType {
    pub(crate) name: &'static str,
    pub(crate) vcpus: u32,
    pub(crate) memory_mib: u64,
    /// US dollars for an hour, on-demand.
    on_demand_usd: f64,
    /// What spot costs, as a part of that.
    spot_part: f64,
}

/// EC2 user guide, "Amazon EBS volume limits": 28 attachments on most Nitro types, of which the
/// interface takes one.
pub(crate) const ATTACHMENT_LIMIT: u32 = 28;

const fn of(
    name: &'static str,
    vcpus: u32,
    memory_mib: u64,
    on_demand_usd: f64,
    spot_part: f64,
) -> LocalType {
    LocalType { name, vcpus, memory_mib, on_demand_usd, spot_part }
}

/// All of them.
pub(crate) const TYPES: &[LocalType] = &[
    of("t3.nano", 2, 512, 0.0052, 0.32),
    of("t3.micro", 2, 1_024, 0.0104, 0.31),
    of("t3.small", 2, 2_048, 0.0208, 0.33),
    of("t3.medium", 2, 4_096, 0.0416, 0.36),
    of("t3.large", 2, 8_192, 0.0832, 0.35),
    of("t3.xlarge", 4, 16_384, 0.1664, 0.37),
    of("m5.large", 2, 8_192, 0.096, 0.38),
    of("m5.xlarge", 4, 16_384, 0.192, 0.41),
    of("m5.2xlarge", 8, 32_768, 0.384, 0.43),
    of("m6i.large", 2, 8_192, 0.096, 0.36),
    of("c5.large", 2, 4_096, 0.085, 0.40),
    of("c5.xlarge", 4, 8_192, 0.17, 0.42),
    of("c6i.large", 2, 4_096, 0.085, 0.39),
    of("r5.large", 2, 16_384, 0.126, 0.34),
    of("r5.xlarge", 4, 32_768, 0.252, 0.35),
    of("r6i.large", 2, 16_384, 0.126, 0.33),
];

/// One process or thread for so much memory, in KiB: as many as Linux lets a machine of that size
/// have (`threads-max`: their stacks take an eighth of its memory).
const KIB_PER_PROCESS: u64 = 128;
/// And no more than this, whatever the size: what is shared with the host has to last for many
/// nodes.
const PIDS_MAX: u32 = 8_192;

/// The type of that name, or a refusal that names those there are.
pub(crate) fn known(name: &str) -> Result<&'static LocalType, CloudError> {
    TYPES.iter().find(|t| t.name == name).ok_or_else(|| {
        let known: Vec<_> = TYPES.iter().map(|t| t.name).collect();
        let message = format!("there is no instance type {name}; use one of {}", known.join(", "));
        refused("InvalidInstanceType", message)
    })
}

impl LocalType {
    /// As the catalogue shows it.
    pub(crate) fn shown(&self) -> InstanceType {
        InstanceType {
            name: self.name.to_owned(),
            vcpus: self.vcpus,
            memory_mib: self.memory_mib,
            attachment_limit: ATTACHMENT_LIMIT,
            architecture: architecture().to_owned(),
        }
    }

    /// How many processes and threads a node of this type may have.
    pub(crate) fn pids_max(&self) -> u32 {
        let fitting = self.memory_mib * 1024 / KIB_PER_PROCESS;
        u32::try_from(fitting).map_or(PIDS_MAX, |fitting| fitting.min(PIDS_MAX))
    }

    /// The usual price in US dollars for an hour. Spot differs a little by zone, as it does on EC2:
    /// `zone_index` counts the region's zones.
    pub(crate) fn usual_usd(&self, lifecycle: Lifecycle, zone_index: u32) -> f64 {
        match lifecycle {
            Lifecycle::OnDemand => self.on_demand_usd,
            Lifecycle::Spot => {
                self.on_demand_usd * self.spot_part * (1.0 + 0.03 * f64::from(zone_index))
            }
        }
    }
}

/// The host's architecture in EC2's word.
pub(crate) fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "aarch64" => "arm64",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_has_a_limit_of_processes_that_fits_its_memory() {
        let of = |name| TYPES.iter().find(|t| t.name == name).map(LocalType::pids_max);
        assert_eq!(of("t3.nano"), Some(4_096));
        assert_eq!(of("t3.micro"), Some(8_192));
        assert!(TYPES.iter().all(|t| (1_024..=PIDS_MAX).contains(&t.pids_max())));
    }
}
