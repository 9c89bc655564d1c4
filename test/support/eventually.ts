/** Repeats `check` until it returns without throwing, or throws its last error after `within` ms. */
export const eventually = async <T>(check: () => T | Promise<T>, within = 30_000): Promise<T> => {
  const end = Date.now() + within
  for (;;) {
    try {
      return await check()
    } catch (error) {
      if (Date.now() > end) throw error
      await new Promise((resolve) => setTimeout(resolve, 10))
    }
  }
}
