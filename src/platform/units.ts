/** Units that constants are written in. */
export const MINUTE_MS = 60_000
export const HOUR_MS = 3_600_000
export const DAY_MS = 24 * HOUR_MS
export const DAY_S = 86_400
export const MIB_BYTES = 1024 * 1024
