/** Which language a page speaks. Service workers use it, so it brings nothing along. */

/** The language of the tables that a reader of these languages reads best; the first one where there is none. */
export const languageFor = <Language extends string>(
  wanted: readonly string[],
  known: readonly [Language, ...Language[]],
): Language => {
  for (const each of wanted) {
    const found = known.find((one) => one === each.slice(0, 2).toLowerCase())
    if (found !== undefined) return found
  }
  return known[0]
}
