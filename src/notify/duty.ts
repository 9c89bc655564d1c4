/**
 * Does the work while it is this process's turn among those on one store, again whenever it becomes so; the signal says
 * that it is over, and the work settles soon after. Disposing ends it. For a moment two may be on duty.
 */
export type OnDuty = (work: (signal: AbortSignal) => Promise<void>) => AsyncDisposable
