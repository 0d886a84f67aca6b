//! What the target may use to build indexes: memory for sorting, and processes of its own.

/// Sets how much memory a build may sort in: all builds at once take no more than the server's
/// shared_buffers, which is what it was given to work with, and none less than the server would
/// give it. Windows takes less than 2 GB (documentation: "Resource Consumption").
pub(super) fn memory(jobs: usize) -> String {
    format!(
        "SELECT pg_catalog.set_config('maintenance_work_mem', (GREATEST( \
         pg_catalog.pg_size_bytes(pg_catalog.current_setting('maintenance_work_mem')), \
         LEAST(pg_catalog.pg_size_bytes(pg_catalog.current_setting('shared_buffers')) / {}, \
         2000000000)) / 1024)::text || 'kB', false)",
        jobs.max(1)
    )
}

/// Lets the builds of the next transaction have a process for each worker that is idle, where that
/// is more than the server would give them. The last build of a job is alone.
pub(super) fn processes(idle: usize) -> String {
    format!(
        "SELECT pg_catalog.set_config('max_parallel_maintenance_workers', GREATEST( \
         pg_catalog.current_setting('max_parallel_maintenance_workers')::integer, {idle})::text, true)"
    )
}
