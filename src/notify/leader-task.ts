/**
 * Runs the work on one of the processes that share a store. The signal ends it, and the work settles soon after; it runs
 * again whenever this process is the leader again. Disposing ends it. Two processes may run it for a moment.
 */
export type LeaderTask = (work: (signal: AbortSignal) => Promise<void>) => AsyncDisposable
