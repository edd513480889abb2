// Runs before the first paint, so that a remembered theme does not flash. The button goes
// from the system's theme to light, dark and back.
(() => {
  const THEMES = ['system', 'light', 'dark'];
  const root = document.documentElement;
  const remembered = () => { try { return localStorage.getItem('theme'); } catch { return null; } };
  const remember = (theme) => {
    try {
      if (theme === 'system') localStorage.removeItem('theme');
      else localStorage.setItem('theme', theme);
    } catch { /* private mode: for this visit only */ }
  };
  const set = (theme) => {
    if (theme === 'system') delete root.dataset.theme;
    else root.dataset.theme = theme;
  };

  let theme = THEMES.includes(remembered()) ? remembered() : 'system';
  set(theme);

  document.addEventListener('DOMContentLoaded', () => {
    const button = document.getElementById('theme');
    const label = () => {
      button.querySelector('span').textContent = theme[0].toUpperCase() + theme.slice(1);
      button.setAttribute('aria-label', `Theme: ${theme}. Switch to ${THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length]}`);
    };
    label();
    button.addEventListener('click', () => {
      theme = THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length];
      set(theme);
      remember(theme);
      label();
    });
  });
})();
