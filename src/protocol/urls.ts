/** The URL without the slashes at its end. A loop: `/\/+$/` takes time in the square of the input's length. */
export const withoutTrailingSlashes = (url: string): string => {
  let end = url.length
  while (end > 0 && url.charAt(end - 1) === '/') end -= 1
  return url.slice(0, end)
}
