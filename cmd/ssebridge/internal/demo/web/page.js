// What the page is called: a random id that goes into each of its URLs, so that the demo's
// server can find this page's connections and cut them, and no other's.

export const page = Array.from(crypto.getRandomValues(new Uint8Array(12)), (b) => b.toString(16).padStart(2, '0')).join('');

export const guest = `Guest ${page.slice(0, 3)}`;

// withPage is a path of this server with the page's id and further parameters.
export function withPage(path, parameters = {}) {
  return `${path}?${new URLSearchParams({ ...parameters, page })}`;
}
