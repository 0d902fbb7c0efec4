//! What this machine is doing, as the data of a Context object.

use serde_json::{Value, json};
use sysinfo::{CpuRefreshKind, MemoryRefreshKind, Networks, RefreshKind, System};

/// A look at this machine's CPU, memory, load and network.
pub(crate) struct Machine {
    system: System,
    networks: Networks,
}

impl Machine {
    pub(crate) fn new() -> Self {
        let what = RefreshKind::nothing()
            .with_cpu(CpuRefreshKind::nothing().with_cpu_usage())
            .with_memory(MemoryRefreshKind::nothing().with_ram());
        Self {
            system: System::new_with_specifics(what),
            networks: Networks::new_with_refreshed_list(),
        }
    }

    /// The state now; rates are since the last look, `seconds` ago.
    pub(crate) fn look(&mut self, seconds: f64) -> Value {
        self.system.refresh_cpu_usage();
        self.system.refresh_memory();
        self.networks.refresh(true);
        let load = System::load_average();
        let cores: Vec<f64> = self
            .system
            .cpus()
            .iter()
            .map(|cpu| rounded(f64::from(cpu.cpu_usage())))
            .collect();
        let network: serde_json::Map<String, Value> = self
            .networks
            .iter()
            .map(|(name, traffic)| {
                let rate = |bytes: u64| (bytes as f64 / seconds).round();
                let rates = json!({
                    "receivedBytesPerSecond": rate(traffic.received()),
                    "sentBytesPerSecond": rate(traffic.transmitted()),
                });
                (name.clone(), rates)
            })
            .collect();
        json!({
            "host": System::host_name(),
            "cpu": { "percent": rounded(f64::from(self.system.global_cpu_usage())), "cores": cores },
            "memory": {
                "usedBytes": self.system.used_memory(),
                "totalBytes": self.system.total_memory(),
            },
            "load": { "one": load.one, "five": load.five, "fifteen": load.fifteen },
            "network": network,
            "uptimeSeconds": System::uptime(),
        })
    }
}

/// To a tenth: more is noise, and a value that stays the same is no commit.
fn rounded(percent: f64) -> f64 {
    (percent * 10.0).round() / 10.0
}
