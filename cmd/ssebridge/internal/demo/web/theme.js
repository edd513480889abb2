// Runs before the first paint, so that a remembered theme does not flash.
(() => {
  const root = document.documentElement;
  const remembered = () => { try { return localStorage.getItem('theme'); } catch { return null; } };
  const remember = (theme) => { try { localStorage.setItem('theme', theme); } catch { /* private mode: for this visit only */ } };

  const theme = remembered();
  if (theme === 'light' || theme === 'dark') root.dataset.theme = theme;

  document.addEventListener('DOMContentLoaded', () => {
    document.getElementById('theme').addEventListener('click', () => {
      const dark = root.dataset.theme ? root.dataset.theme === 'dark' : matchMedia('(prefers-color-scheme: dark)').matches;
      root.dataset.theme = dark ? 'light' : 'dark';
      remember(root.dataset.theme);
    });
  });
})();
