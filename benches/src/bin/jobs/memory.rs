//! The memory store: what the worker and the state machine cost by themselves.

use crate::Scale;
use crate::drain::{drain, fill, rate};
use anyhow::Result;
use atlas_benches::{Row, cpu, median};
use atlas_jobs::{JobStore, MemoryJobs};
use atlas_schema::Stage;
use std::sync::Arc;
use tokio::runtime::Runtime;

pub(crate) fn rows(runtime: &Runtime, scale: Scale) -> Result<Vec<Row>> {
    let (mut times, mut cpus) = (Vec::new(), Vec::new());
    for _ in 0..scale.rounds {
        let store: Arc<dyn JobStore> = Arc::new(MemoryJobs::new(Stage::Dev));
        runtime.block_on(fill(&store, scale.jobs, 50))?;
        // On a task of its own, as a host has it: the main thread of a runtime is slower to wake.
        let task = async move { drain(&store, scale.jobs, 1).await };
        let (time, cpu) = cpu::during(|| runtime.block_on(runtime.spawn(task))?)?;
        times.push(time);
        cpus.push(cpu);
    }
    let [time, cpu] = [times, cpus].map(|times| median(times).unwrap_or_default());
    Ok(vec![
        Row::new("memory/claim-complete", rate(scale.jobs, time), "jobs/s"),
        Row::new("memory/cpu", cpu::per_job(cpu, scale.jobs), "us/job"),
    ])
}
