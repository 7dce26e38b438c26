// The enrolment stands behind the # of the link, so that no server log ever sees it; this puts it into the form.

const form = document.querySelector('form[data-sign-in]');
const field = form?.querySelector('input');
if (form instanceof HTMLFormElement && field && location.hash.length > 1) {
  field.value = decodeURIComponent(location.hash.slice(1));
  history.replaceState(null, '', location.pathname);
  // Not sent by itself: whoever follows a link decides to use it up.
  form.querySelector('button')?.focus();
}
